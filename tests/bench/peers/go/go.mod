module gmprt.bench

go 1.27

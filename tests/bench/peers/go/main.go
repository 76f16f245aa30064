// SPDX-License-Identifier: MIT

// The peer "go": the bodies of tests/bench/bodies.h, sleepers.h and paths.h, written as a
// Go programmer would. Same work, same counts, same output; change them
// together. Go's own WaitGroup stands where the C bodies count goroutines.
package main

import (
	"fmt"
	"math/bits"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	name  string
	procs = 1
	all   sync.WaitGroup
)

func report(v float64, unit, remark string) {
	fmt.Printf("go %s P=%d %.2f %s %s\n", name, procs, v, unit, remark)
}

func reportMore(what string, v float64, unit string) {
	fmt.Printf("go %s.%s P=%d %.2f %s\n", name, what, procs, v, unit)
}

func notAvailable(reason string) {
	fmt.Printf("go %s P=%d n/a %s\n", name, procs, reason)
}

func check(ok bool, what string) {
	if !ok {
		panic("go " + name + ": " + what)
	}
}

func size(env string, deflt int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return deflt
}

func since(t time.Time) float64 {
	return float64(time.Since(t).Nanoseconds())
}

func yieldAmong(goroutines, times int) {
	all.Add(goroutines)
	t := time.Now()
	for range goroutines {
		go func() {
			for range times {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	report(since(t)/float64(goroutines*times), "ns/switch", "")
}

func b1() { yieldAmong(2, size("N", 1000000)) }

func b2() {
	n := size("N", 300000)
	ping, pong := make(chan int), make(chan int)
	all.Add(1)
	go func() {
		for range n {
			pong <- <-ping
		}
		all.Done()
	}()
	t := time.Now()
	for i := 1; i <= n; i++ {
		ping <- i
		check(<-pong == i, "another item came back")
	}
	d := since(t)
	all.Wait()
	report(d/float64(n), "ns/roundtrip", "")
}

func b3() {
	n := size("N", 2000000)
	c := make(chan int, 128)
	t := time.Now()
	go func() {
		for i := 1; i <= n; i++ {
			c <- i
		}
	}()
	for i := 1; i <= n; i++ {
		check(<-c == i, "an item is lost or out of order")
	}
	report(since(t)/float64(n), "ns/item", "")
}

func done() { all.Done() }

func spawnBatches(batches, each int) {
	t := time.Now()
	for range batches {
		all.Add(each)
		for range each {
			go done()
		}
		all.Wait()
	}
	report(since(t)/float64(batches*each), "ns/spawn", fmt.Sprintf("%d x %d", batches, each))
}

func b4()  { spawnBatches(1, size("N", 1000000)) }
func b4b() { spawnBatches(max(1, size("N", 1000000)/1000), 1000) }

func residentBytes() float64 {
	s, err := os.ReadFile("/proc/self/statm")
	check(err == nil, "can't read /proc/self/statm")
	pages, err := strconv.Atoi(strings.Fields(string(s))[1])
	check(err == nil, "can't read /proc/self/statm")
	return float64(pages * os.Getpagesize())
}

func pageTableBytes() float64 {
	s, err := os.ReadFile("/proc/self/status")
	check(err == nil, "can't read /proc/self/status")
	_, after, _ := strings.Cut(string(s), "VmPTE:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	check(err == nil, "no VmPTE in /proc/self/status")
	return float64(kb) * 1024
}

func b5() {
	n := size("N", 1000000)
	never := make(chan int)
	var up atomic.Int64
	runtime.GC()
	rss, pt := residentBytes(), pageTableBytes()
	t := time.Now()
	for range n {
		go func() {
			up.Add(1)
			<-never
		}()
	}
	for up.Load() < int64(n) {
		runtime.Gosched()
	}
	d := since(t) / float64(n)
	rss = (residentBytes() - rss) / float64(n)
	pt = (pageTableBytes() - pt) / float64(n)
	report(rss, "bytes/goroutine",
		fmt.Sprintf("n=%d page-tables=%.0fB-each create+park=%.0fns-each", n, pt, d))
}

const skynetLeaves = 1000000

func skyResult(t time.Time, sum, n int, variant string) {
	d := since(t)
	check(sum == n*(n-1)/2, "skynet's sum is wrong")
	report(d/1e6, "ms", variant)
}

func skynet(up chan int, num, size int) {
	if size == 1 {
		up <- num
		return
	}
	below := make(chan int)
	sum := 0
	for i := range 10 {
		go skynet(below, num+i*(size/10), size/10)
	}
	for range 10 {
		sum += <-below
	}
	up <- sum
}

func b6() {
	n := size("N", skynetLeaves)
	top := make(chan int)
	t := time.Now()
	go skynet(top, 0, n)
	skyResult(t, <-top, n, "channels")
}

type skyNode struct {
	wg  sync.WaitGroup
	sum atomic.Int64
}

func skynetJoin(up *skyNode, num, size int) {
	sum := int64(num)
	if size > 1 {
		var n skyNode
		n.wg.Add(10)
		for i := range 10 {
			go skynetJoin(&n, num+i*(size/10), size/10)
		}
		n.wg.Wait()
		sum = n.sum.Load()
	}
	up.sum.Add(sum)
	up.wg.Done()
}

func b6j() {
	n := size("N", skynetLeaves)
	var top skyNode
	t := time.Now()
	top.wg.Add(1)
	go skynetJoin(&top, 0, n)
	top.wg.Wait()
	skyResult(t, int(top.sum.Load()), n, "join")
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var wg sync.WaitGroup
	var a int
	wg.Add(1)
	go func() {
		a = fib(n - 1)
		wg.Done()
	}()
	b := fib(n - 2)
	wg.Wait()
	return a + b
}

func fibPlain(n int) int {
	a, b := 0, 1
	for range n {
		a, b = b, a+b
	}
	return a
}

func b7() {
	n := size("FIB", 30)
	t := time.Now()
	r := fib(n)
	d := since(t)
	check(r == fibPlain(n), "fib's result is wrong")
	report(d/1e6, "ms", fmt.Sprintf("fib(%d) %.1fns-a-child", n, d/float64(fibPlain(n+1)-1)))
}

func manyToMany(capacity int) {
	n := size("N", 10000)
	c := make(chan int, capacity)
	var received atomic.Int64
	all.Add(200)
	t := time.Now()
	for range 100 {
		go func() {
			for i := 1; i <= n; i++ {
				c <- i
			}
			all.Done()
		}()
		go func() {
			sum := 0
			for range n {
				sum += <-c
			}
			received.Add(int64(sum))
			all.Done()
		}()
	}
	all.Wait()
	d := since(t)
	check(received.Load() == int64(100*(n*(n+1)/2)), "items are lost or doubled")
	report(d/float64(100*n), "ns/item", "")
}

func b8()  { manyToMany(128) }
func b8u() { manyToMany(0) }

const (
	sleepMinUs  = 1000
	sleepMaxUs  = 100000
	lateExact   = 16
	lateBuckets = 1024
)

var lateUs [lateBuckets]uint64

func lateBucket(us int64) int {
	if us < lateExact {
		return int(max(us, 0))
	}
	log := 63 - bits.LeadingZeros64(uint64(us))
	return log*lateExact + int(us>>(log-4))%lateExact
}

func lateOf(i int) float64 {
	if i < lateExact {
		return float64(i)
	}
	return float64(int64(lateExact+i%lateExact) << (i/lateExact - 4))
}

func lateCounts() (count [lateBuckets]uint64, woken uint64) {
	for i := range lateUs {
		count[i] = atomic.LoadUint64(&lateUs[i])
		woken += count[i]
	}
	return
}

func lateQuantile(count *[lateBuckets]uint64, q float64) float64 {
	var all, seen uint64
	for _, c := range count {
		all += c
	}
	for i, c := range count {
		seen += c
		if float64(seen) >= q*float64(all) {
			return lateOf(i)
		}
	}
	return lateOf(lateBuckets - 1)
}

func cpuNs() float64 {
	var r syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil, "no rusage")
	return float64(r.Utime.Nano() + r.Stime.Nano())
}

func sleepFn(i uint64) {
	x := i*0x9E3779B97F4A7C15 + 1
	for {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		us := sleepMinUs + int64(x%(sleepMaxUs-sleepMinUs+1))
		t := time.Now()
		time.Sleep(time.Duration(us) * time.Microsecond)
		atomic.AddUint64(&lateUs[lateBucket(time.Since(t).Microseconds()-us)], 1)
	}
}

func sleepers(n int) {
	for i := range n {
		go sleepFn(uint64(i + 1))
	}
	time.Sleep(500 * time.Millisecond)
	before, woken := lateCounts()
	cpu := cpuNs()
	t := time.Now()
	time.Sleep(2 * time.Second)
	d := since(t)
	cpu = cpuNs() - cpu
	count, now := lateCounts()
	woken = now - woken
	for i := range count {
		count[i] -= before[i]
	}
	check(woken > 0, "nobody woke")
	report(cpu/float64(woken), "cpu-ns/wake",
		fmt.Sprintf("n=%d %.0f/s cpu/wall=%.2f", n, float64(woken)/d*1e9, cpu/d))
	reportMore("p50", lateQuantile(&count, 0.5), "us-late")
	reportMore("p99", lateQuantile(&count, 0.99), "us-late")
}

func b9()  { sleepers(size("N", 5000)) }
func b9m() { sleepers(size("N", 100000)) }

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func b10() {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", size("PORT", 7777)))
	check(err == nil, "can't listen")
	for {
		c, err := l.Accept()
		check(err == nil, "can't accept")
		go echo(c)
	}
}

func b11() {
	n := size("N", 2000)
	var mu sync.Mutex
	guarded := 0
	all.Add(1000)
	t := time.Now()
	for range 1000 {
		go func() {
			for range n {
				mu.Lock()
				guarded++
				mu.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	d := since(t)
	check(guarded == 1000*n, "the mutex let two in")
	report(d/float64(guarded), "ns/lock+unlock", "")
}

// The fast paths: one operation, n times, by one goroutine.
func path(deflt int, unit string, op func(n int)) {
	n := size("N", deflt)
	t := time.Now()
	op(n)
	report(since(t)/float64(n), unit, "")
}

func u1() {
	c := make(chan int, 16)
	path(5000000, "ns/send+recv", func(n int) {
		for i := range n {
			c <- i
			check(<-c == i, "another item came back")
		}
	})
}

func u2() {
	var mu sync.Mutex
	path(5000000, "ns/lock+unlock", func(n int) {
		for range n {
			mu.Lock()
			mu.Unlock()
		}
	})
}

func u5() {
	path(1000000, "ns/go+yield", func(n int) {
		all.Add(n)
		for range n {
			go done()
			runtime.Gosched()
		}
		all.Wait()
	})
}

func u6() {
	path(5000000, "ns/add+done+wait", func(n int) {
		for range n {
			all.Add(1)
			all.Done()
			all.Wait()
		}
	})
}

func u7() {
	path(1000000, "ns/go+wait", func(n int) {
		for range n {
			all.Add(1)
			go done()
			all.Wait()
		}
	})
}

func u8() {
	c0, c1 := make(chan int, 1), make(chan int, 1)
	var chose0, chose1 int
	c0 <- 0
	c1 <- 0
	path(2000000, "ns/select+send", func(n int) {
		for range n {
			select {
			case <-c0:
				chose0++
				c0 <- 0
			case <-c1:
				chose1++
				c1 <- 0
			}
		}
	})
	n := chose0 + chose1
	check(n < 1000 || chose0 > n/4 && chose1 > n/4, "select is not uniform")
}

func u10() { yieldAmong(1000, size("N", 2000)) }

func u11() {
	there, back := make(chan int), make(chan int)
	runtime.LockOSThread()
	path(200000, "ns/round trip", func(n int) {
		go func() {
			for range n {
				back <- <-there
			}
		}()
		for i := range n {
			there <- i
			check(<-back == i, "another item came back")
		}
	})
	runtime.UnlockOSThread()
}

func lacks(what string) func() {
	return func() { notAvailable(what) }
}

var benches = map[string]func(){
	"B1": b1, "B2": b2, "B2s": lacks("no semaphore in the language or sync"),
	"B3": b3, "B4": b4, "B4b": b4b, "B5": b5, "B6": b6, "B6j": b6j, "B7": b7,
	"B8": b8, "B8u": b8u, "B9": b9, "B9m": b9m, "B10": b10, "B11": b11, "B12": b12,
	"U1": u1, "U2": u2,
	"U3": lacks("no semaphore in the language or sync"),
	"U4": lacks("no fork and join, see U7"), "U5": u5, "U6": u6, "U7": u7, "U8": u8,
	"U9": lacks("not callable by a program"), "U10": u10, "U11": u11,
	"G1": gap, "G1r": gap, "G2": gap, "G3": gap, "G3r": gap, "G4": gap, "G5": gap,
	"G6": gap, "G7": gap, "G8": gap, "G9": gap, "G10": gap,
}

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 || benches[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s BENCH [WORKERS]\n", os.Args[0])
		os.Exit(2)
	}
	name = os.Args[1]
	if len(os.Args) == 3 {
		procs, _ = strconv.Atoi(os.Args[2])
		if procs < 1 {
			fmt.Fprintf(os.Stderr, "%s: workers: not a positive number: %s\n", os.Args[0], os.Args[2])
			os.Exit(2)
		}
	}
	runtime.GOMAXPROCS(procs)
	benches[name]()
}

// SPDX-License-Identifier: MIT

// B12 and G1 to G10, the twin of tests/bench/blocks.h: the same blocks, by what a Go
// program would call. Package syscall's blocking calls tell Go's scheduler (it calls
// that entersyscall), RawSyscall and a page fault don't, and a name is looked up by
// Go's own resolver, which parks the goroutine. The remark names what was called.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	nappers = 64
	napNs   = 200000
	steps   = 46000
)

//go:noinline
func compute(n int) uint64 {
	x := uint64(88172645463325252)
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

func unitNs() float64 {
	best := 1e18
	for range 20 {
		t := time.Now()
		check(compute(steps) != 0, "wrong result")
		best = min(best, since(t))
	}
	return best
}

func nappersRate(nap func(*syscall.Timespec)) (rate, load float64) {
	var rounds atomic.Int64
	d := time.Duration(size("MS", 1500)) * time.Millisecond
	all.Add(nappers)
	cpu := cpuNs()
	t := time.Now()
	for range nappers {
		go func() {
			n := 0
			for time.Since(t) < d {
				nap(&syscall.Timespec{Nsec: napNs})
				check(compute(steps) != 0, "wrong result")
				n++
			}
			rounds.Add(int64(n))
			all.Done()
		}()
	}
	all.Wait()
	took := since(t)
	return float64(rounds.Load()) / took * 1e9, (cpuNs() - cpu) / took
}

func b12() {
	unit := unitNs()
	told, load := nappersRate(func(t *syscall.Timespec) { syscall.Nanosleep(t, nil) })
	raw, _ := nappersRate(func(t *syscall.Timespec) {
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0)
	})
	report(told, "rounds/s", fmt.Sprintf("syscall.Nanosleep, which tells the scheduler; unit=%.1fus cpu/wall=%.2f",
		unit/1e3, load))
	reportMore("raw", raw, "rounds/s")
}

// The helper, as in blocks.h.
var (
	helperIn  interface{ Read([]byte) (int, error) }
	helperOut interface{ Write([]byte) (int, error) }
)

func startHelper(files []*os.File, args ...string) bool {
	path := os.Getenv("HELPER")
	if path == "" {
		notAvailable("HELPER= the path of gap-helper is not set")
		return false
	}
	c := exec.Command(path, args...)
	c.Stderr = os.Stderr
	c.ExtraFiles = files
	var err error
	helperOut, err = c.StdinPipe()
	check(err == nil, "no pipe")
	helperIn, err = c.StdoutPipe()
	check(err == nil, "no pipe")
	check(c.Start() == nil, "can't start gap-helper")
	return true
}

func tellHelper() {
	_, err := helperOut.Write([]byte{0})
	check(err == nil, "gap-helper is gone")
}

func hearHelper() {
	var b [1]byte
	n, _ := helperIn.Read(b[:])
	check(n == 1, "gap-helper has ended")
}

var fileName string

func makeFile(what string, pages int) int {
	dir := os.Getenv("DIR")
	if dir == "" {
		dir = "."
	}
	fileName = fmt.Sprintf("%s/%s.%d", dir, what, os.Getpid())
	fd, err := syscall.Open(fileName, syscall.O_RDWR|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_CLOEXEC, 0600)
	check(err == nil, "can't make a file in DIR")
	page := slices.Repeat([]byte{1}, os.Getpagesize())
	for range pages {
		n, err := syscall.Write(fd, page)
		check(err == nil && n == len(page), "can't write")
	}
	check(syscall.Fsync(fd) == nil, "fsync")
	return fd
}

type gapWay struct {
	call    string
	repeats int
	atLeast time.Duration
	begin   func() bool
	arm     func()
	block   func()
	after   func() bool
	quiet   time.Duration
}

var (
	gapFd     int
	gapWakeFd = -1
)

func pipeBegin() bool {
	var p [2]int
	check(syscall.Pipe2(p[:], syscall.O_CLOEXEC) == nil, "no pipe")
	gapFd, gapWakeFd = p[0], p[1]
	return true
}

func pipeBlock() {
	var b [1]byte
	n, _ := syscall.Read(gapFd, b[:])
	check(n == 1, "no byte in the pipe")
}

func napFor(d time.Duration) func() {
	return func() {
		t := syscall.NsecToTimespec(int64(d))
		syscall.Nanosleep(&t, nil)
	}
}

func flockBegin() bool {
	gapFd = makeFile("go-lock", 0)
	return startHelper(nil, "flock", fileName)
}

func flockArm() {
	hearHelper()
	tellHelper()
}

func flockBlock() {
	for {
		err := syscall.Flock(gapFd, syscall.LOCK_EX)
		if err == nil {
			return
		}
		check(err == syscall.EINTR, "flock")
	}
}

func flockAfter() bool {
	syscall.Flock(gapFd, syscall.LOCK_UN)
	tellHelper()
	return true
}

func fsyncBegin() bool {
	gapFd = makeFile("go-sync", 1)
	return true
}

func fsyncArm() {
	n, _ := syscall.Pwrite(gapFd, make([]byte, 512), 0)
	check(n == 512, "can't write")
}

func fsyncBlock() { check(syscall.Fsync(gapFd) == nil, "fsync") }

var resolver net.Resolver

func dnsBegin() bool {
	if !startHelper(nil, "dns") {
		return false
	}
	var port int
	_, err := fmt.Fscanln(helperIn, &port)
	check(err == nil, "gap-helper has no port")
	resolver.PreferGo = true
	resolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	}
	return true
}

func dnsBlock() {
	_, err := resolver.LookupIP(context.Background(), "ip4", "late.gap.test.")
	check(err == nil, "LookupIP: no answer")
}

var futexWord *uint32

func mapFile(bytes, prot int) []byte {
	mem, err := syscall.Mmap(gapFd, 0, bytes, prot, syscall.MAP_SHARED)
	check(err == nil, "mmap")
	return mem
}

func futexBegin() bool {
	gapFd = makeFile("go-word", 1)
	futexWord = (*uint32)(unsafe.Pointer(&mapFile(os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE)[0]))
	return startHelper(nil, "futex", fileName)
}

func futexArm() {
	atomic.StoreUint32(futexWord, 0)
	tellHelper()
}

func futexBlock() {
	for atomic.LoadUint32(futexWord) == 0 {
		syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(futexWord)), 0, 0, 0, 0, 0)
	}
}

const faultPages = 256

var (
	faultMem          []byte
	faultNext         int
	faultsBefore      int64
	faultSum          int
	adviseDontneed    = 4 // POSIX_FADV_DONTNEED
	ioctlUffdAPI      = uintptr(0xc018aa3f)
	ioctlUffdRegister = uintptr(0xc020aa00)
)

func majorFaults() int64 {
	var r syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil, "no rusage")
	return r.Majflt
}

func faultBegin() bool {
	gapFd = makeFile("go-pages", faultPages)
	faultMem = mapFile(faultPages*os.Getpagesize(), syscall.PROT_READ)
	check(syscall.Madvise(faultMem, syscall.MADV_RANDOM) == nil, "madvise")
	return true
}

func faultArm() {
	page := os.Getpagesize()
	faultNext = (faultNext + 1) % faultPages
	at := faultNext * page
	check(syscall.Madvise(faultMem[at:at+page], syscall.MADV_DONTNEED) == nil, "madvise")
	_, _, e := syscall.Syscall6(syscall.SYS_FADVISE64, uintptr(gapFd), uintptr(at), uintptr(page),
		uintptr(adviseDontneed), 0, 0)
	check(e == 0, "fadvise")
	faultsBefore = majorFaults()
}

func faultBlock()      { faultSum += int(faultMem[faultNext*os.Getpagesize()]) }
func faultAfter() bool { return majorFaults() > faultsBefore }

func uffdBegin() bool {
	nr := map[string]uintptr{"amd64": 323, "arm64": 282}[runtime.GOARCH]
	fd, _, e := syscall.Syscall(nr, 1 /* UFFD_USER_MODE_ONLY */ |syscall.O_NONBLOCK, 0, 0)
	if nr == 0 || e != 0 {
		notAvailable("no userfaultfd in this kernel, or not permitted")
		return false
	}
	api := [3]uint64{0xaa}
	_, _, e = syscall.Syscall(syscall.SYS_IOCTL, fd, ioctlUffdAPI, uintptr(unsafe.Pointer(&api)))
	check(e == 0, "UFFDIO_API")
	mem, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	check(err == nil, "mmap")
	faultMem = mem
	reg := [4]uint64{uint64(uintptr(unsafe.Pointer(&mem[0]))), uint64(len(mem)), 1 /* MODE_MISSING */}
	_, _, e = syscall.Syscall(syscall.SYS_IOCTL, fd, ioctlUffdRegister, uintptr(unsafe.Pointer(&reg)))
	check(e == 0, "UFFDIO_REGISTER")
	return startHelper([]*os.File{os.NewFile(fd, "userfaultfd")}, "uffd")
}

func uffdArm() { check(syscall.Madvise(faultMem, syscall.MADV_DONTNEED) == nil, "madvise") }

var gapWays = map[string]*gapWay{
	"G1":  {"syscall.Read", 2000, 2 * time.Microsecond, pipeBegin, nil, pipeBlock, nil, 0},
	"G1r": {"syscall.Read", 50, 2 * time.Microsecond, pipeBegin, nil, pipeBlock, nil, 20 * time.Millisecond},
	"G2":  {"syscall.Nanosleep", 300, 900 * time.Microsecond, nil, nil, napFor(time.Millisecond), nil, 0},
	"G3":  {"syscall.Nanosleep", 100, 4900 * time.Microsecond, nil, nil, napFor(5 * time.Millisecond), nil, 0},
	"G3r": {"syscall.Nanosleep", 50, 4900 * time.Microsecond, nil, nil, napFor(5 * time.Millisecond), nil, 20 * time.Millisecond},
	"G4":  {"syscall.Nanosleep", 30, 49 * time.Millisecond, nil, nil, napFor(50 * time.Millisecond), nil, 0},
	"G5":  {"syscall.Flock", 300, 200 * time.Microsecond, flockBegin, flockArm, flockBlock, flockAfter, 0},
	"G6":  {"syscall.Fsync", 200, 20 * time.Microsecond, fsyncBegin, fsyncArm, fsyncBlock, nil, 0},
	"G7":  {"net.LookupIP (parks)", 100, time.Millisecond, dnsBegin, nil, dnsBlock, nil, 0},
	"G8":  {"syscall.Syscall6", 300, 200 * time.Microsecond, futexBegin, futexArm, futexBlock, nil, 0},
	"G9":  {"load", 500, 5 * time.Microsecond, faultBegin, faultArm, faultBlock, faultAfter, 0},
	"G10": {"load", 300, 200 * time.Microsecond, uffdBegin, uffdArm, faultBlock, nil, 0},
}

var (
	gapBegan = time.Now()
	gapFrom  atomic.Int64 // ns after gapBegan; 0: none
	gapNs    float64
	gapOver  atomic.Bool
)

func stamp() {
	for !gapOver.Load() {
		if from := gapFrom.Load(); from != 0 {
			gapNs = since(gapBegan) - float64(from)
			gapFrom.Store(0)
			if gapWakeFd >= 0 {
				n, _ := syscall.Write(gapWakeFd, []byte{0})
				check(n == 1, "can't write into the pipe")
			}
		}
		runtime.Gosched()
	}
	all.Done()
}

func gapOnce(w *gapWay) float64 {
	if w.arm != nil {
		w.arm()
	}
	runtime.Gosched()
	for t := time.Now(); time.Since(t) < w.quiet; {
		runtime.Gosched()
	}
	from := time.Since(gapBegan)
	gapFrom.Store(int64(from))
	w.block()
	d := time.Since(gapBegan) - from
	for gapFrom.Load() != 0 {
		runtime.Gosched()
	}
	if w.after != nil && !w.after() || d < w.atLeast {
		return 0
	}
	return float64(d)
}

func gapReport(w *gapWay, gaps, blocks []float64, of int) {
	n := len(gaps)
	if n == 0 {
		notAvailable("here this call does not block")
		return
	}
	slices.Sort(gaps)
	slices.Sort(blocks)
	report(gaps[n/2]/1e3, "us", fmt.Sprintf("%s blocked %d of %d block-p50=%.0fus", w.call, n, of,
		blocks[n/2]/1e3))
	reportMore("p99", gaps[n*99/100]/1e3, "us")
	reportMore("max", gaps[n-1]/1e3, "us")
}

func gap() {
	w := gapWays[name]
	if w.begin != nil && !w.begin() {
		return
	}
	of := size("N", w.repeats)
	var gaps, blocks []float64
	all.Add(1)
	go stamp()
	for range of {
		if d := gapOnce(w); d > 0 {
			gaps = append(gaps, gapNs)
			blocks = append(blocks, d)
		}
	}
	gapOver.Store(true)
	all.Wait()
	gapReport(w, gaps, blocks, of)
	if fileName != "" {
		os.Remove(fileName)
	}
}

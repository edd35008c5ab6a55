// Command restart measures what the cache's disk costs at a start: it fills a directory with objects, closes it in order or
// leaves it as a crash does, and then measures how long it takes until the first of them is read.
//
//	go run ./bench/restart -objects 1000000 -size 1024 -dir /var/tmp/restart
//	go run ./bench/restart -objects 1048576 -size 10240 -dir /var/tmp/restart -weir bin/weir
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
)

func main() {
	objects := flag.Int("objects", 1_000_000, "how many objects")
	size := flag.Int64("size", 1024, "bytes of each")
	dir := flag.String("dir", "", "an empty directory, which is left empty")
	crash := flag.Bool("crash", false, "start from what a process leaves that is killed")
	weir := flag.String("weir", "", "measure this binary at work, rather than the package alone")
	flag.Parse()
	if *dir == "" {
		log.Fatal("-dir is missing")
	}
	if *weir != "" {
		if err := measureWeir(*weir, *dir, *objects, *size); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := measure(*dir, *objects, *size, *crash); err != nil {
		log.Fatal(err)
	}
}

func keyOf(n int) (k store.Key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(k[8:], uint64(n)*0xc2b2ae3d27d4eb4f)
	return k
}

// heap is what is in use of Go's heap.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func measure(dir string, objects int, size int64, crash bool) error {
	o := segment.Options{Dir: dir, Size: (size + 512) * int64(objects) * 5 / 4}
	took, err := fill(o, objects, size, crash)
	if err != nil {
		return err
	}
	fmt.Printf("filled with %d objects of %d bytes in %v (%.0f MB/s)\n", objects, size, took.Round(time.Millisecond), float64(int64(objects)*size)/1e6/took.Seconds())
	before := heap()
	begun := time.Now()
	d, err := segment.Open(o)
	if err != nil {
		return err
	}
	opened := time.Since(begun)
	_, _, buf, err := d.Read(keyOf(objects/2), nil)
	first := time.Since(begun)
	if err != nil {
		return err
	}
	st := d.Stats()
	fmt.Printf("open %v, first object read after %v; %d objects, %.1f bytes of index each, %.1f of heap\n", opened.Round(100*time.Microsecond),
		first.Round(100*time.Microsecond), st.Objects, float64(st.Memory)/float64(st.Objects), float64(heap()-before)/float64(st.Objects))
	const reads = 100_000
	begun = time.Now()
	for range reads {
		if _, _, buf, err = d.Read(keyOf(rand.IntN(objects)), buf); err != nil {
			return err
		}
	}
	fmt.Printf("a read of a checked object %v\n", (time.Since(begun) / reads).Round(10*time.Nanosecond))
	return d.Destroy()
}

// fill writes the objects and returns how long that took.
func fill(o segment.Options, objects int, size int64, crash bool) (time.Duration, error) {
	s, err := store.Open(store.Options{Memory: 256 << 20})
	if err != nil {
		return 0, err
	}
	d, err := segment.Open(o)
	if err != nil {
		return 0, err
	}
	head, body := make([]byte, 300), make([]byte, size)
	begun := time.Now()
	for n := range objects {
		binary.LittleEndian.PutUint64(body, uint64(n))
		f, err := s.Begin(keyOf(n), head, size)
		if err != nil {
			return 0, err
		}
		_, err = f.Write(body)
		r, _ := f.Ref()
		if err = errors.Join(err, f.Commit()); err != nil {
			return 0, err
		}
		for !d.Put(keyOf(n), r.Retain(), 1<<40, nil) {
			time.Sleep(time.Millisecond)
		}
		r.Release()
	}
	if crash {
		for d.Stats().Written < uint64(objects) {
			time.Sleep(time.Millisecond)
		}
		if err := os.Rename(o.Dir, o.Dir+".left"); err != nil { // what is written at the end does not reach it
			return 0, err
		}
		took := time.Since(begun)
		if err := os.Mkdir(o.Dir, 0o700); err != nil {
			return 0, err
		}
		err = d.Close()
		err = errors.Join(err, os.RemoveAll(o.Dir), os.Rename(o.Dir+".left", o.Dir))
		return took, errors.Join(err, s.Close())
	}
	err = d.Close()
	return time.Since(begun), errors.Join(err, s.Close())
}

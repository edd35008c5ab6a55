package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

func (b *bench) download(p *peer) ([]float64, error) { return b.transfer(p, fetch) }

func (b *bench) upload(p *peer) ([]float64, error) { return b.transfer(p, send) }

// transfers are made in a turn; the median of their rates counts.
const transfers = 5

// transfer moves one large body through a peer, again and again.
func (b *bench) transfer(p *peer, move func(address string, size int) error) ([]float64, error) {
	r, err := b.ready(p, setup{Origin: b.large}, false)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	if err := move(r.address, 4<<20); err != nil { // what is needed once is there
		return nil, err
	}
	cpu, rss, err := r.usage()
	if err != nil {
		return nil, err
	}
	highest, err := r.watch()
	if err != nil {
		return nil, err
	}
	// One takes a tenth of a second: whatever else the machine does in it decides.
	var took [transfers]time.Duration
	for i := range took {
		began := time.Now()
		if err = move(r.address, largeSize); err != nil {
			break
		}
		took[i] = time.Since(began)
	}
	most := highest()
	if err != nil {
		return nil, err
	}
	after, rssAfter, err := r.usage()
	if err != nil {
		return nil, err
	}
	grown := float64(max(most, rssAfter)-rss) / (1 << 20)
	slices.Sort(took[:])
	return []float64{float64(largeSize>>20) / took[transfers/2].Seconds(), max(0, grown), milliseconds(after-cpu) / transfers}, nil
}

const transferLimit = 60 * time.Second

// fetch downloads size bytes.
func fetch(address string, size int) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(transferLimit))
	fmt.Fprintf(conn, "GET /big?bytes=%d HTTP/1.1\r\nHost: bench\r\n\r\n", size)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fmt.Errorf("downloading: %w", err)
	}
	defer resp.Body.Close()
	total, buffer := 0, make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buffer)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("downloading: %w after %d bytes", err, total)
		}
	}
	if resp.StatusCode != http.StatusOK || total != size {
		return fmt.Errorf("downloading: %s, %d of %d bytes", resp.Status, total, size)
	}
	return nil
}

// send uploads size bytes; the origin says how many it got.
func send(address string, size int) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(transferLimit))
	fmt.Fprintf(conn, "POST /sink HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n", size)
	buffer := make([]byte, 256<<10)
	for left := size; left > 0; {
		n, err := conn.Write(buffer[:min(left, len(buffer))])
		if err != nil {
			return fmt.Errorf("uploading: %w with %d bytes left", err, left)
		}
		left -= n
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	if want := fmt.Sprintf("%d bytes\n", size); resp.StatusCode != http.StatusOK || string(said) != want {
		return fmt.Errorf("uploading: %s, %q; want %q", resp.Status, said, want)
	}
	return nil
}

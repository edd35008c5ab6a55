package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// askH2C sends a request in HTTP/2 with prior knowledge. Probes have time: net/http's own client will do.
func askH2C(ctx context.Context, c *conn, req *http.Request) (*http.Response, error) {
	used := false
	t := &http.Transport{
		Protocols:              new(http.Protocols),
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHead,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if used {
				return nil, errors.New("it closed the connection without an answer")
			}
			used = true
			return c, nil
		},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	req = req.WithContext(ctx)
	req.URL.Scheme, req.URL.Host = "http", "server"
	return t.RoundTrip(req)
}

// The service that tells of the health of others: grpc.health.v1.Health, in the file health.proto of gRPC. Its request has one
// field, the service's name, its response another, the status; so neither takes a library.
const (
	healthMethod = "/grpc.health.v1.Health/Check"
	serving      = 1
)

var servingStates = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

func checkGRPC(ctx context.Context, to place, service string) (string, error) {
	c, err := dial(ctx, to)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // all that counts has been read
	message := healthRequest(service)
	req := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: healthMethod}, Host: "localhost", Header: http.Header{
		"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"weir-check"}},
		ContentLength: int64(len(message)), Body: io.NopCloser(bytes.NewReader(message))}
	resp, err := askH2C(ctx, c, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // likewise
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answered %s", clean(resp.Status))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", err
	}
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status") // without a message there are no trailers, only a head
	}
	switch status {
	case "0":
	case "5":
		return "", fmt.Errorf("it does not know the service %q", service)
	case "12":
		return "", errors.New("it has no health service (grpc.health.v1.Health)")
	case "":
		return "", errors.New("what it answered is not of gRPC: there is no grpc-status")
	default:
		return "", errors.New(clean("it answered with the gRPC status " + status + " " + resp.Trailer.Get("Grpc-Message")))
	}
	state, ok := healthState(body)
	switch {
	case !ok:
		return "", errors.New("what it answered is no response of the health service")
	case state != serving && state < uint64(len(servingStates)):
		return "", errors.New("it says " + servingStates[state])
	case state != serving:
		return "", errors.New("it says a status that is none")
	}
	return servingStates[serving], nil
}

// healthRequest is a message of gRPC, behind its head: not compressed, and so long.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = append(m, 1<<3|2)
		m = binary.AppendUvarint(m, uint64(len(service)))
		m = append(m, service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// healthState reads the status of a response; fields that came later are passed over.
func healthState(b []byte) (state uint64, ok bool) {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return 0, false
	}
	for b = b[5:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		size := uint64(0)
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, false
			}
			if b = b[n:]; tag == 1<<3 {
				state = v
			}
			continue
		case 1:
			size = 8
		case 2:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, false
			}
			b, size = b[n:], v
		case 5:
			size = 4
		default:
			return 0, false
		}
		if size > uint64(len(b)) {
			return 0, false
		}
		b = b[size:]
	}
	return state, true
}

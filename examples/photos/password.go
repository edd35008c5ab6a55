package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

// passwordCost is the iterations of new hashes: about 0.1 s, as OWASP advises for PBKDF2 with SHA-256. Tests lower it.
var passwordCost = 600_000

// hashing bounds the hashes that are made at a time, so that signing in cannot take all processors from everyone else.
var hashing = make(chan struct{}, max(1, runtime.NumCPU()/2))

// hashPassword returns "pbkdf2-sha256$iterations$salt$key".
func hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails: it ends the program instead
	key, err := derive(ctx, password, salt, passwordCost)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", passwordCost, encode(salt), encode(key)), nil
}

// checkPassword takes as long for a wrong password as for a right one.
func checkPassword(ctx context.Context, hash, password string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2-sha256" {
		return false, fmt.Errorf("a password hash of an unknown kind")
	}
	cost, err := strconv.Atoi(parts[1])
	if err != nil || cost < 1 {
		return false, fmt.Errorf("a password hash with odd iterations")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return false, fmt.Errorf("a password hash with an odd salt: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil {
		return false, fmt.Errorf("a password hash with an odd key: %w", err)
	}
	got, err := derive(ctx, password, salt, cost)
	return subtle.ConstantTimeCompare(got, want) == 1, err
}

func derive(ctx context.Context, password string, salt []byte, cost int) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return pbkdf2.Key(sha256.New, password, salt, cost, sha256.Size)
}

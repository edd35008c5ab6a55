package stock

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/config"
)

// readSecret reads what makes the keys of what is in a directory.
func readSecret(dir string) (s cache.Seed, err error) {
	b, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		return s, fmt.Errorf("reading the cache's secret: %w", err)
	}
	if len(b) != len(s) {
		return s, fmt.Errorf("reading the cache's secret: %w", fs.ErrNotExist) // it is made anew
	}
	copy(s[:], b)
	return s, nil
}

// writeSecret writes it.
func writeSecret(dir string, s cache.Seed) error {
	path := filepath.Join(dir, secretFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the cache's secret: %w", err)
	}
	_, err = f.Write(s[:])
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("writing the cache's secret: %w", err)
	}
	return nil
}

// newSeed is the secret of a cache: the one on its disk, the one that it is given, or a new one.
func newSeed(cfg *config.CacheDisk, given []byte) (s cache.Seed, err error) {
	if cfg != nil {
		if s, err = readSecret(cfg.Path); err == nil {
			return s, nil
		}
	}
	if len(given) == len(s) {
		return cache.Seed(given), nil
	}
	if _, err = rand.Read(s[:]); err != nil {
		return s, fmt.Errorf("reading random bytes: %w", err)
	}
	return s, nil
}

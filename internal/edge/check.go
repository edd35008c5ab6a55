package edge

import (
	"errors"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/route"
)

// Check makes of a configuration what an edge makes of it, as far as that takes nothing of the machine, and drops it. Its
// errors name their places.
func Check(cfg *config.Config) error {
	table, err := route.New(cfg)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range table.Routes() {
		_, failed := Compression(r.Config.Compress)
		_, include := newRouteESI(r.Config)
		if failed = errors.Join(failed, include); r.Config.Cache != nil {
			_, policy := newRouteCache(r.Config, cache.Seed{})
			failed = errors.Join(failed, policy)
		}
		if failed != nil {
			errs = append(errs, cfg.ErrorAtPlace(r.Config.Place, failed.Error(), ""))
		}
	}
	return errors.Join(errs...)
}

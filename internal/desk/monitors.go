package desk

import (
	"net/http"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/monitor"
)

// Balancers in front of weir have no token: whether it is ready is told to everybody, why it is not, to those who may look.

func (o *rooms) live(w http.ResponseWriter, r *http.Request) {
	a := monitor.Live(o.hub.now.Load())
	a.Write(w, mayLook(r))
}

func (o *rooms) ready(w http.ResponseWriter, r *http.Request) {
	a := monitor.Ready(o.hub.now.Load(), time.Now(), o.ends.Err() != nil, r.URL.Query())
	a.Write(w, mayLook(r))
}

func (o *rooms) poolSize(w http.ResponseWriter, r *http.Request) {
	a := monitor.Pool(o.hub.now.Load(), time.Now(), r.PathValue("name"), r.URL.Query())
	a.Write(w, mayLook(r))
}

func mayLook(r *http.Request) bool {
	return who(r).May(config.View)
}

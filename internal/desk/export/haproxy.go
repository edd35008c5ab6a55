package export

import (
	"math"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// haproxyColumns are those of HAProxy 2.6's statistics as CSV, in their order, up to the mark "-" that ends the part which does not
// depend on how HAProxy was built. Newer ones add names behind agg_check_status.
var haproxyColumns = strings.Split("pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,"+
	"chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,"+
	"hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,"+
	"comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,"+
	"check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,"+
	"cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,"+
	"uweight,agg_server_status,agg_server_check_status,agg_check_status,-", ",")

// HAProxy's numbers of what a line is about.
const (
	typeFrontend = 0
	typeBackend  = 1
	typeServer   = 2
)

// HAProxy returns the picture with HAProxy's columns: a FRONTEND for all that weir listens at (pxname "weir") and one for each site, and
// for each pool its servers and a BACKEND. What weir does not count is empty.
func HAProxy(p *picture.Picture) []byte {
	rows := []row{listener(p)}
	id := 2
	for i := range p.Sites {
		rows = append(rows, frontend(p, &p.Sites[i], id))
		id++
	}
	for i := range p.Pools {
		for j := range p.Pools[i].Servers {
			rows = append(rows, server(p, &p.Pools[i], &p.Pools[i].Servers[j], id, j+1))
		}
		rows = append(rows, backend(p, &p.Pools[i], id))
		id++
	}
	b := append([]byte("# "), strings.Join(haproxyColumns, ",")...)
	b = append(b, ",\n"...)
	return appendTable(b, haproxyColumns, rows, ",\n")
}

func open(up bool) string {
	if up {
		return "OPEN"
	}
	return "STOP"
}

// whole is a rate as HAProxy has it, without a fraction. What is not nothing does not become nothing.
func whole(rate float64) int64 { return int64(math.Ceil(rate)) }

// common is what all lines have.
func common(name, of string, kind, id, sid int) row {
	return row{"pxname": name, "svname": of, "pid": 1, "iid": id, "sid": sid, "type": kind}
}

func (r row) addClasses(status *[6]uint64) {
	for i, name := range []string{"hrsp_other", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx"} {
		r[name] = status[i]
	}
}

// addFlow adds what a frontend has of its requests.
func (r row) addFlow(f *picture.Flow) {
	r["bin"], r["bout"], r["wretr"] = f.In, f.Out, f.Retries
	r["req_rate"], r["req_rate_max"], r["req_tot"] = whole(f.Rate), whole(f.RateMax), f.Requests
	r["dreq"], r["dresp"], r["ereq"] = f.Causes["refused"], 0, f.Causes["bad_request"]+f.Causes["head_timeout"]
	r["cli_abrt"], r["mode"] = f.Causes["client_gone"], "http"
	hits := f.Cache[3] + f.Cache[4] + f.Cache[5] + f.Cache[6]
	r["cache_lookups"], r["cache_hits"] = hits+f.Cache[2], hits
	r["eint"] = f.Causes["internal"] + f.Causes["panic"]
	r.addClasses(&f.Status)
}

// listener is weir as a whole, whose sessions are connections.
func listener(p *picture.Picture) row {
	r := common("weir", "FRONTEND", typeFrontend, 1, 0)
	e := &p.Edge
	r["status"] = open(e.Up)
	r.addFlow(&p.Total)
	r["scur"], r["stot"], r["conn_tot"], r["dcon"], r["dses"] = e.Connections, e.Accepted, e.Accepted, e.Refused, 0
	if e.Connections+e.Room > 0 {
		r["slim"] = e.Connections + e.Room
	}
	r["rate"], r["rate_max"] = whole(p.Total.Rate), whole(p.Total.RateMax)
	return r
}

// frontend is a site. Its sessions are requests, of which only those that ended are counted.
func frontend(p *picture.Picture, s *picture.Site, id int) row {
	r := common(s.Name, "FRONTEND", typeFrontend, id, 0)
	r["status"], r["stot"], r["rate"], r["rate_max"] = open(p.Edge.Up), s.Requests, whole(s.Rate), whole(s.RateMax)
	r.addFlow(&s.Flow)
	return r
}

func mode(o *picture.Pool) string {
	if o.TCP {
		return "tcp"
	}
	return "http"
}

// word is a server's state in HAProxy's words: NOLB is well, and gets nothing that is new.
func word(up bool, state string) string {
	if !up {
		return "DOWN"
	}
	switch state {
	case "ready":
		return "UP"
	case "draining":
		return "DRAIN"
	case "maint":
		return "MAINT"
	case "leaving":
		return "NOLB"
	}
	return "DOWN" // down, or it has yet to show that it is not
}

// check is how a check ended, in HAProxy's words: of which layer it is, weir does not tell.
func check(s *picture.Server) any {
	switch {
	case s.Checks == 0 && s.Check == "":
		return nil
	case s.State == "down":
		return "L7STS"
	case s.State == "starting":
		return "INI"
	}
	return "L7OK"
}

func server(p *picture.Picture, o *picture.Pool, s *picture.Server, id, sid int) row {
	r := common(o.Name, s.Name, typeServer, id, sid)
	r["status"] = word(p.Edge.Up, s.State)
	r["qcur"], r["qmax"] = 0, 0 // requests wait at the pool
	r["scur"], r["smax"], r["stot"], r["lbtot"] = s.Active, s.ActiveMax, s.Requests, s.Requests
	if s.Limit > 0 {
		r["slim"] = s.Limit
	}
	r["bin"], r["bout"], r["dresp"], r["mode"] = s.In, s.Out, 0, mode(o)
	r["econ"] = s.Failures["connect_error"]
	r["eresp"] = s.Failures["empty_response"] + s.Failures["bad_response"] + s.Failures["timeout"]
	r["srv_abrt"] = s.Failures["empty_response"]
	r["weight"], r["uweight"] = s.Weight*s.Share/1000, s.Weight
	if s.Share < 1000 {
		r["throttle"] = s.Share / 10
	}
	r["act"], r["bck"] = !s.Backup, s.Backup
	r["chkfail"], r["chkdown"], r["downtime"], r["lastchg"] = s.CheckFail, s.Downs, int64(s.DownFor), since(p.At, s.Since)
	if c := check(s); c != nil {
		r["check_status"], r["check_duration"], r["last_chk"] = c, int64(s.CheckTime), s.Check
	}
	r["rate"], r["rate_max"], r["req_tot"] = whole(s.Rate), whole(s.RateMax), s.Requests
	r["rtime"], r["connect"], r["reuse"], r["idle_conn_cur"] = int64(math.Round(s.P50)), s.Connects, s.Reused, s.Idle
	r["used_conn_cur"], r["addr"] = s.Active, s.Address
	r.addClasses(&s.Status)
	return r
}

func backend(p *picture.Picture, o *picture.Pool, id int) row {
	r := common(o.Name, "BACKEND", typeBackend, id, 0)
	up := o.State != "down" && p.Edge.Up
	r["status"] = "DOWN"
	if up {
		r["status"] = "UP"
	}
	r["qcur"], r["qmax"], r["qlimit"], r["scur"], r["stot"], r["lbtot"], r["mode"] = o.Queued, o.QueueMax, o.QueueSize, o.Active, o.Requests, o.Requests, mode(o)
	r["wretr"], r["wredis"], r["dreq"], r["dresp"] = o.Retries, o.Redispatch, o.Shed+o.Rejected, 0
	r["rate"], r["req_tot"], r["rtime"] = whole(o.Rate), o.Requests, int64(math.Round(o.P50))
	var in, out, econ, eresp, downs, fails, checksFailed uint64
	var active, backup, weight int
	var limit int64
	var status [6]uint64
	bounded := len(o.Servers) > 0
	for i := range o.Servers {
		s := &o.Servers[i]
		in, out, downs, checksFailed = in+s.In, out+s.Out, downs+s.Downs, checksFailed+s.CheckFail
		econ += s.Failures["connect_error"]
		eresp += s.Failures["empty_response"] + s.Failures["bad_response"] + s.Failures["timeout"]
		fails += s.Failures["empty_response"]
		for c, n := range s.Status {
			status[c] += n
		}
		bounded = bounded && s.Limit > 0
		limit += s.Limit
		if s.State != "ready" {
			continue
		}
		weight += s.Weight * s.Share / 1000
		if s.Backup {
			backup++
		} else {
			active++
		}
	}
	if bounded {
		r["slim"] = limit
	}
	r["bin"], r["bout"], r["econ"], r["eresp"], r["srv_abrt"] = in, out, econ, eresp, fails
	r["weight"], r["act"], r["bck"], r["chkfail"], r["chkdown"], r["uweight"] = weight, active, backup, checksFailed, downs, weight
	r.addClasses(&status)
	return r
}

// since is how many seconds ago something was, nothing if it is not known.
func since(now, then time.Time) any {
	if then.IsZero() {
		return nil
	}
	return max(int64(now.Sub(then)/time.Second), 0)
}

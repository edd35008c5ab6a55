package telling

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// here is a teller whose loops are the test's own goroutine.
func here(loops int) *Teller { return New(loops, func(_ int, f func()) { f() }) }

func wants(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// request is one that ended at a time with a status; its id is n.
type request struct {
	line journal.Line
	j    journal.Journal
}

func (r *request) end(l *Loop, n int, status int, cause journal.Cause, took time.Duration, now int64) bool {
	r.j = journal.Journal{Start: time.Unix(0, now), Status: status, Cause: cause}
	r.j.At[journal.Begun], r.j.At[journal.Delivered] = now-int64(took), now
	if !l.Wants(&r.j, false, now) {
		return false
	}
	r.line = journal.Line{Client: netip.MustParseAddr("192.0.2.1"), Method: []byte("GET"), Target: []byte("/"), Host: []byte("a"), ID: fmt.Append(nil, n)}
	r.line.Take(&r.j, now)
	l.Tell(&r.line, &r.j, now)
	return true
}

func TestWhatIsKept(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		status int
		cause  journal.Cause
		took   time.Duration
		tcp    bool
		want   sort
		slow   bool
	}{
		{200, journal.NoCause, 999 * ms, false, ordinary, false},
		{200, journal.NoCause, 1000 * ms, false, slow, true},
		{500, journal.NoCause, ms, false, failed, false},
		{500, journal.NoCause, 2000 * ms, false, failed, true},
		{502, journal.EmptyResponse, ms, false, failed, false},
		{0, journal.ServerReset, ms, false, failed, false},
		{404, journal.NoRoute, ms, false, refused, false},
		{404, journal.NoCause, ms, false, ordinary, false}, // the app's own word
		{0, journal.ClientGone, ms, false, refused, false},
		{0, journal.ClientGone, 3000 * ms, false, slow, true}, // it was tired of waiting
		{101, journal.NoCause, time.Hour, false, ordinary, false},
		{200, journal.NoCause, time.Hour, true, ordinary, false},
		{200, journal.IdleTimeout, time.Hour, true, refused, false},
	} {
		var j journal.Journal
		j.Status, j.Cause = row.status, row.cause
		j.At[journal.Begun] = 5
		if got, isSlow := sortOf(&j, row.tcp, 5+int64(row.took), int64(time.Second)); got != row.want || isSlow != row.slow {
			t.Errorf("%+v: %v, slow %v", row, got, isSlow)
		}
	}
}

func TestAStormDoesNotDriveAllOut(t *testing.T) {
	te := here(1)
	l, r := te.Loop(0), &request{}
	now := int64(time.Hour)
	r.end(l, 0, 200, journal.NoCause, 2*time.Second, now)
	for i := range 10_000 { // a second and a half of a storm
		now += int64(150 * time.Microsecond)
		r.end(l, 1+i, 503, journal.QueueFull, time.Millisecond, now)
	}
	texts := te.Recent(nil, time.Time{}, 1000)
	if len(texts) != 1+2*burst || !bytes.Contains(texts[0], []byte(`"id":"0"`)) || !bytes.Contains(texts[0], []byte(`"slow":true`)) {
		t.Errorf("%d stories, the first is %s", len(texts), texts[0])
	}
	for i := range 1000 { // and then one each second: the ring goes round
		now += int64(time.Second)
		r.end(l, 20_000+i, 503, journal.QueueFull, time.Millisecond, now)
	}
	texts = te.Recent(wants(t, "failed=yes"), time.Time{}, 1000)
	if len(texts) != kept || !bytes.Contains(texts[0], []byte(`"id":"20872"`)) || !bytes.Contains(texts[kept-1], []byte(`"id":"20999"`)) {
		t.Errorf("%d stories from %s to %s", len(texts), texts[0], texts[len(texts)-1])
	}
	if got := te.Recent(wants(t, "id=20990"), time.Time{}, 1); len(got) != 1 {
		t.Errorf("by its id: %s", got)
	}
	if got := te.Recent(nil, time.Unix(0, now), 10); len(got) != 1 {
		t.Errorf("%d ended since", len(got))
	}
}

func TestListeners(t *testing.T) {
	te := here(2)
	all, leaveAll, err := te.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	some, leaveSome, err := te.Listen(wants(t, "status=404"))
	if err != nil {
		t.Fatal(err)
	}
	r := &request{}
	r.end(te.Loop(0), 1, 200, journal.NoCause, time.Millisecond, 1e9)
	r.end(te.Loop(1), 2, 404, journal.NoCause, time.Millisecond, 2e9)
	gone := make(chan struct{})
	hear := func(w *Listener) string {
		var out bytes.Buffer
		w.Pass(gone, &out, func() error { return fmt.Errorf("that is enough") })
		return out.String()
	}
	if got := hear(all); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"id":"1"`) || !strings.Contains(got, `"stages_ms":{"begun":0.000,"delivered":1.000}`) {
		t.Errorf("all: %s", got)
	}
	if got := hear(some); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"id":"2"`) {
		t.Errorf("some: %s", got)
	}
	leaveSome()
	leaveAll()
	if r.end(te.Loop(0), 3, 200, journal.NoCause, time.Millisecond, 3e9) {
		t.Error("it is told though nobody listens")
	}
	for i := range maxListeners {
		_, leave, err := te.Listen(nil)
		if err != nil {
			t.Fatal(i, err)
		}
		defer leave()
	}
	if _, _, err := te.Listen(nil); err == nil {
		t.Error("one listens too many")
	}
}

// TestExpressionsOfAllTogether: each request is held against all of them, on its loop.
func TestExpressionsOfAllTogether(t *testing.T) {
	te := here(1)
	dear := wants(t, "path~"+strings.Repeat("a", 150))
	for range maxSteps / dear.Steps() {
		_, leave, err := te.Listen(dear)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if _, _, err := te.Listen(dear); err == nil || !strings.Contains(err.Error(), "regular expressions") {
		t.Errorf("one more: %v", err)
	}
	_, leave, err := te.Listen(wants(t, "status=500"))
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

// TestListenersGoOver: who listens under a name is heard for by the next edge until he comes, and what he missed is there.
func TestListenersGoOver(t *testing.T) {
	from, to := here(1), here(1)
	follow := func(te *Teller, as, text string) (*Listener, func()) {
		t.Helper()
		w, leave, err := te.Follow(as, text, wants(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return w, leave
	}
	_, leaveAnn := follow(from, "ann", "status=404")
	_, leaveBob := follow(from, "bob", "")
	_, leaveNobody := follow(from, "", "")
	r := &request{}
	quick, leaveQuick := follow(to, "bob", "") // before he is told of
	if err := to.Expect(from.Names()); err != nil {
		t.Fatal(err)
	}
	r.end(to.Loop(0), 1, 404, journal.NoCause, time.Millisecond, 1e9)
	r.end(to.Loop(0), 2, 200, journal.NoCause, time.Millisecond, 2e9)
	other, leaveOther := follow(to, "ann", "status=200") // another one with her name
	ann, leaveFound := follow(to, "ann", "status=404")
	r.end(to.Loop(0), 3, 404, journal.NoCause, time.Millisecond, 3e9)
	for what, c := range map[string]struct {
		w    *Listener
		want int
	}{"she who came late": {ann, 2}, "he who came early": {quick, 3}, "another filter": {other, 0}} {
		if got := bytes.Count(c.w.parts[0].take(), []byte("\n")); got != c.want {
			t.Errorf("%s has heard of %d, want %d", what, got, c.want)
		}
	}
	if n := len(to.listeners); n != 3 || len(to.expected) != 0 {
		t.Errorf("%d listen, %d are expected", n, len(to.expected))
	}
	for _, leave := range []func(){leaveAnn, leaveBob, leaveNobody, leaveQuick, leaveOther, leaveFound} {
		leave()
	}
	if err := to.Expect([]Named{{"late", ""}, {"", ""}, {strings.Repeat("x", longestName+1), ""}}); err != nil || len(to.listeners) != 1 {
		t.Errorf("%v, %d listen", err, len(to.listeners))
	}
	if to.Expect([]Named{{"wrong", "status=="}}) == nil {
		t.Error("a wrong filter was taken")
	}
	to.giveUp("late", to.expected["late"])
	if len(to.listeners)+len(to.expected) != 0 {
		t.Error("who does not come is waited for")
	}
	var all []Named
	for i := range 2 * maxListeners {
		all = append(all, Named{fmt.Sprint(i), ""})
	}
	if err := to.Expect(all); err == nil || len(to.listeners) != maxListeners {
		t.Errorf("%v, %d listen", err, len(to.listeners))
	}
	to.Seal()
	to.End()
	if _, _, err := to.Follow(strings.Repeat("x", longestName+1), "", nil); err == nil {
		t.Error("a long name was taken")
	}
}

// TestFiltersOfShown: who may only look cannot find out by a filter what is left out.
func TestFiltersOfShown(t *testing.T) {
	te := here(1)
	te.UseLogs(nil, &journal.Redaction{Client: journal.ClientHidden})
	f := wants(t, "client=192.0.2.1")
	all, leaveAll, err := te.Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer leaveAll()
	shown, leave, err := te.ListenToShown(f)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	r := &request{}
	r.end(te.Loop(0), 1, 200, journal.NoCause, time.Millisecond, 1e9)
	if len(all.parts[0].buf) == 0 || len(shown.parts[0].buf) != 0 {
		t.Errorf("%q, of what is shown %q", all.parts[0].buf, shown.parts[0].buf)
	}
}

func TestWhoReadsTooSlowlyIsTold(t *testing.T) {
	te := here(1)
	w, leave, err := te.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &request{}
	const n = 5000
	for i := range n {
		r.end(te.Loop(0), i, 200, journal.NoCause, time.Millisecond, int64(i+1)*1e6)
	}
	if len(w.parts[0].buf) > listenerBytes {
		t.Errorf("%d bytes are held", len(w.parts[0].buf))
	}
	go func() { // the end is heard as well
		te.Seal()
		te.End()
	}()
	var out bytes.Buffer
	w.Pass(nil, &out, func() error { return nil })
	leave()
	stories := strings.Count(out.String(), `"stages_ms"`)
	var dropped int
	i := strings.Index(out.String(), `{"dropped":`)
	if _, err := fmt.Sscanf(out.String()[max(i, 0):], `{"dropped":%d}`, &dropped); err != nil || dropped == 0 || stories+dropped != n {
		t.Errorf("%v: %d stories and %d dropped, of %d", err, stories, dropped, n)
	}
	if _, _, err := te.Listen(nil); err == nil {
		t.Error("one listens at its end")
	}
}

func TestStoriesGoOver(t *testing.T) {
	from, to := here(1), here(1)
	r := &request{}
	for i := range 20 {
		r.end(from.Loop(0), i, 502, journal.EmptyResponse, time.Duration(i)*time.Millisecond, int64(i+1)*1e9)
	}
	texts := from.Recent(nil, time.Time{}, 1000)
	if err := to.Inherit(texts); err != nil {
		t.Fatal(err)
	}
	got := to.Recent(nil, time.Time{}, 1000)
	if len(got) != 20 {
		t.Fatalf("%d", len(got))
	}
	for i := range got {
		if !bytes.Equal(got[i], texts[i]) {
			t.Errorf("got  %s\nwant %s", got[i], texts[i])
		}
	}
	if err := to.Inherit(texts); err != nil || len(to.Recent(nil, time.Time{}, 1000)) != 20 {
		t.Error("what is told twice is there twice", err)
	}
	for i := range 2 * inheritable {
		if err := to.Inherit([][]byte{fmt.Appendf(nil, `{"id":"more%d"}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(to.Recent(nil, time.Time{}, 1<<20)); n != inheritable {
		t.Errorf("%d are inherited", n)
	}
	if to.Inherit([][]byte{[]byte("no JSON")}) == nil {
		t.Error("no error")
	}
}

// What nobody wants costs no allocation, and neither does what is heard once buffers have their size.
func TestNothingIsAllocated(t *testing.T) {
	te := here(1)
	r := &request{}
	l := te.Loop(0)
	id := []byte("0f3a")
	parts := []journal.Part{{Target: id, Status: 200, Cache: journal.Hit}, {Target: id}}
	now := int64(1e9)
	end := func() {
		now += 1e7
		r.j.Status = 503
		r.j.At[journal.Begun] = now - 5
		if l.Wants(&r.j, false, now) {
			r.line = journal.Line{Method: id, Target: id, Host: id, ID: id, Parts: parts}
			r.line.Take(&r.j, now)
			l.Tell(&r.line, &r.j, now)
		}
	}
	for range 300 {
		end()
	}
	none, leave, err := te.Listen(wants(t, "time>1h"))
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if n := testing.AllocsPerRun(1000, end); n != 0 {
		t.Errorf("%v allocations when nobody wants it", n)
	}
	if len(none.parts[0].buf) > 0 {
		t.Error("it is heard all the same")
	}
	all, leave, err := te.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	heard := func() {
		end()
		all.parts[0].take()
	}
	for range 10 {
		heard()
	}
	if n := testing.AllocsPerRun(1000, heard); n != 0 {
		t.Errorf("%v allocations when it is heard", n)
	}
}

func BenchmarkTellNobody(b *testing.B) {
	te := here(1)
	r := &request{}
	l := te.Loop(0)
	b.ReportAllocs()
	for b.Loop() {
		r.end(l, 0, 200, journal.NoCause, time.Millisecond, 1e9)
	}
}

package top

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// Options is how it looks and begins.
type Options struct {
	Desk   *api.Client
	Ink    Ink
	ASCII  bool
	View   string // one of Views; empty: the first
	Filter string // of that view
	Sort   string // the name of a column of it; with a minus before it, turned around
	Width  int    // of what is printed once
	Behind string // who acts, where the desk sees only as whom: behind sudo
	In     io.Reader
	Out    io.Writer
	Env    []string
}

// fps bounds how soon a key is answered, and how often it is looked whether there is something to draw: 60 cost more than all the rest.
const fps = 20

// begin is a model as the options want it. The error is for people.
func (o *Options) begin() (*model, error) {
	m := newModel(o.Ink, o.ASCII)
	m.behind = o.Behind
	if o.View != "" {
		v := slices.Index(Views[:], o.View)
		if v < 0 {
			return nil, fmt.Errorf("there is no view %q: write one of %s", o.View, strings.Join(Views[:], ", "))
		}
		m.view = view(v)
	}
	t := &m.tabs[m.view]
	if (o.Filter != "" || o.Sort != "") && !m.hasTable() {
		return nil, fmt.Errorf("the view %s has no table to filter or sort: add --view with one of pools, workers, routes, log, events, numbers", Views[m.view])
	}
	t.filter = o.Filter
	if o.Sort == "" {
		return m, nil
	}
	name, back := strings.CutPrefix(o.Sort, "-")
	cols := columnsOf(m.view)
	i := slices.IndexFunc(cols, func(c column) bool { return strings.EqualFold(c.head, name) })
	if i < 0 {
		var names []string
		for _, c := range cols {
			names = append(names, c.head)
		}
		return nil, fmt.Errorf("the view %s has no column %q: write one of %s", Views[m.view], name, strings.Join(names, ", "))
	}
	t.order = sorting{i + 1, back}
	return m, nil
}

// Run shows weir in a terminal until somebody leaves, or the context ends.
func Run(ctx context.Context, o Options) error {
	m, err := o.begin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	screen := &screen{m: m}
	if f, ok := o.Out.(*os.File); ok {
		o.Out = &terminal{f, cancel}
	}
	p := tea.NewProgram(screen, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Env), tea.WithFPS(fps))
	screen.conn = &conn{desk: o.Desk, ctx: ctx, send: func(what any) { p.Send(what) }}
	screen.conn.all.Go(screen.conn.follow)
	_, err = p.Run()
	cancel()
	screen.conn.wait()
	if err != nil && ctx.Err() != nil && screen.left {
		err = nil
	}
	return err
}

// terminal is one that may go away. Most programs are then told by a signal, but not those that something like nohup has begun.
type terminal struct {
	*os.File
	gone func()
}

func (t *terminal) Write(p []byte) (int, error) {
	n, err := t.File.Write(p)
	if err != nil {
		t.gone()
	}
	return n, err
}

// screen joins the model to the terminal.
type screen struct {
	m    *model
	conn *conn
	left bool
}

// Init asks whether the background is dark, where that matters.
func (s *screen) Init() tea.Cmd {
	for _, what := range s.m.start() {
		s.conn.do(what)
	}
	if s.m.ink == OnDark {
		return tea.RequestBackgroundColor
	}
	return nil
}

// Update takes what has come.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var what any = msg
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		what = key{msg.Keystroke(), msg.Text}
		if msg.Text != "" && msg.Text != " " {
			what = key{msg.Text, msg.Text}
		}
	case tea.PasteMsg:
		what = pasted{msg.Content}
	case tea.MouseClickMsg:
		if msg.Button != tea.MouseLeft {
			return s, nil
		}
		what = click{msg.X, msg.Y}
	case tea.MouseWheelMsg:
		what = wheel{map[tea.MouseButton]int{tea.MouseWheelUp: -3, tea.MouseWheelDown: 3}[msg.Button]}
	case tea.WindowSizeMsg:
		what = resized{msg.Width, msg.Height}
	case tea.BackgroundColorMsg:
		what = background{msg.IsDark()}
	}
	var cmd tea.Cmd
	for _, todo := range s.m.take(what) {
		switch todo.(type) {
		case quit:
			s.left = true
			cmd = tea.Quit
		case suspend:
			cmd = tea.Suspend
		default:
			s.conn.do(todo)
		}
	}
	return s, cmd
}

// View draws.
func (s *screen) View() tea.View {
	text, x, y := s.m.frame()
	v := tea.NewView(text)
	v.AltScreen = true
	if s.m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	if y >= 0 {
		v.Cursor = tea.NewCursor(x, y)
	}
	return v
}

// Once writes one frame as text, as long as it is.
func Once(ctx context.Context, o Options) error {
	m, err := o.begin()
	if err != nil {
		return err
	}
	raw, err := Picture(ctx, o.Desk)
	if err != nil {
		return err
	}
	p := &picture.Picture{}
	if err := json.Unmarshal(raw, p); err != nil {
		return fmt.Errorf("reading what the desk tells: %w", err)
	}
	m.file, m.w, m.recent = true, max(o.Width, 20), true
	c := &conn{desk: o.Desk}
	todo := append(m.start(), m.take(p)...)
	for _, what := range todo {
		if got := c.answer(ctx, what); got != nil {
			m.take(got)
		}
	}
	if m.logError != "" {
		return fmt.Errorf("asking for the log: %s", m.logError)
	}
	text, _, _ := m.frame()
	var b bytes.Buffer
	for l := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight(l, " "))
		b.WriteByte('\n')
	}
	_, err = o.Out.Write(b.Bytes())
	return err
}

package loop

import "testing"

func childMain(string) int { return 1 }

func TestEcho(t *testing.T) {
	both(t, func(t *testing.T, listen func(testing.TB, *Loop, Acceptor) Addr) {
		e := startEngine(t, Config{Loops: 2})
		l := e.Loops()[0]
		addr := listen(t, l, serve(echo))
		ask(t, dial(t, addr), "hello")
		within(t, e.Loops()[1], func(task *Task) {
			c, err := task.Loop().Dial(task, addr, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for range 1000 {
				ask(t, c, "from a task")
			}
			c.Close()
		})
	})
}

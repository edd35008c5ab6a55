package main

// s3fifo is S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: SOSP 2023) with bytes for objects: a tenth of the capacity for the
// small queue, a frequency of up to 3, into the main queue from 2 on, and as many ghosts as the main queue has objects.
type s3fifo struct {
	t     *trace
	l     lists
	small list
	main  list
	where []uint8
	freq  []uint8
	ghost []uint32 // when the object was last put into the ghost queue, plus 1
	puts  uint32
}

const (
	inSmall = 1
	inMain  = 2
)

func newS3FIFO(t *trace) *s3fifo {
	n := len(t.sizes)
	c := &s3fifo{t: t, l: newLists(n), where: make([]uint8, n), freq: make([]uint8, n), ghost: make([]uint32, n)}
	c.small, c.main = newList(&c.l), newList(&c.l)
	return c
}

func (c *s3fifo) access(o uint32, charge uint64) bool {
	if c.where[o] != 0 {
		c.freq[o] = min(c.freq[o]+1, 3)
		return true
	}
	if charge > c.t.capacity {
		return false
	}
	for c.small.used+c.main.used+charge > c.t.capacity {
		if c.small.used*10 > c.t.capacity || c.main.count == 0 {
			c.evictSmall()
		} else {
			c.evictMain()
		}
	}
	c.freq[o] = 0
	if g := c.ghost[o]; g != 0 && c.puts-g < uint32(c.main.count) {
		c.ghost[o] = 0
		c.main.push(o, charge)
		c.where[o] = inMain
		return false
	}
	c.small.push(o, charge)
	c.where[o] = inSmall
	return false
}

func (c *s3fifo) evictSmall() {
	for c.small.count > 0 {
		v := c.small.back
		charge := c.t.charge(v)
		c.small.remove(v, charge)
		if c.freq[v] < 2 {
			c.where[v] = 0
			c.puts++
			c.ghost[v] = c.puts
			return
		}
		c.freq[v] = 0
		c.main.push(v, charge)
		c.where[v] = inMain
	}
}

func (c *s3fifo) evictMain() {
	for c.main.count > 0 {
		v := c.main.back
		charge := c.t.charge(v)
		c.main.remove(v, charge)
		if c.freq[v] == 0 {
			c.where[v] = 0
			return
		}
		c.freq[v]--
		c.main.push(v, charge)
	}
}

package main

import (
	"image"
	"math"
)

// colour has parts of 0 to 1, as they are shown.
type colour struct{ r, g, b float32 }

func rgb(hex uint32) colour {
	return colour{float32(hex>>16) / 255, float32(hex>>8&0xff) / 255, float32(hex&0xff) / 255}
}

// mix goes from a (t = 0) to b (t = 1).
func mix(a, b colour, t float64) colour {
	f := float32(min(max(t, 0), 1))
	return colour{a.r + (b.r-a.r)*f, a.g + (b.g-a.g)*f, a.b + (b.b-a.b)*f}
}

// smooth eases from 0 to 1.
func smooth(t float64) float64 {
	t = min(max(t, 0), 1)
	return t * t * (3 - 2*t)
}

type point struct{ x, y float64 }

// canvas is a picture in the making.
type canvas struct {
	columns, rows int
	w, h          float64 // the same
	pixels        []colour
}

func newCanvas(width, height int) *canvas {
	return &canvas{width, height, float64(width), float64(height), make([]colour, width*height)}
}

func (c *canvas) at(x, y int) colour     { return c.pixels[y*c.columns+x] }
func (c *canvas) set(x, y int, k colour) { c.pixels[y*c.columns+x] = k }

// blend lays a colour over a pixel; what is outside is left out.
func (c *canvas) blend(x, y int, k colour, cover float64) {
	if x >= 0 && y >= 0 && x < c.columns && y < c.rows && cover > 0 {
		i := y*c.columns + x
		c.pixels[i] = mix(c.pixels[i], k, cover)
	}
}

// dot is a disc with a soft edge.
func (c *canvas) dot(at point, radius float64, k colour, cover float64) {
	reach := int(radius) + 2
	for y := int(at.y) - reach; y <= int(at.y)+reach; y++ {
		for x := int(at.x) - reach; x <= int(at.x)+reach; x++ {
			edge := radius + 0.5 - math.Hypot(float64(x)-at.x, float64(y)-at.y)
			c.blend(x, y, k, cover*min(1, edge))
		}
	}
}

// column fills from a soft top edge to the bottom.
func (c *canvas) column(x int, top, bottom float64, shade func(y float64) colour) {
	for y := max(0, int(top)-1); y < min(c.rows, int(bottom)); y++ {
		c.blend(x, y, shade(float64(y)), min(1, float64(y)+1-top))
	}
}

// span fills part of a row with soft ends.
func (c *canvas) span(from, to float64, y int, k colour) {
	for x := int(math.Floor(from)); x <= int(to); x++ {
		c.blend(x, y, k, min(1, float64(x)+1-from)*min(1, to-float64(x)))
	}
}

func (c *canvas) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, c.columns, c.rows))
	for i, p := range c.pixels {
		// A little noise hides the steps of smooth skies.
		grain := float32(noise(9).value(i%c.columns, i/c.columns)-0.5) * 1.6
		for j, part := range [3]float32{p.r, p.g, p.b} {
			img.Pix[i*4+j] = uint8(min(max(part*255+grain+0.5, 0), 255))
		}
		img.Pix[i*4+3] = 255
	}
	return img
}

// noise is a seed of value noise: a number of 0 to 1 at each point of a grid, and smooth curves between them.
type noise uint64

func (n noise) value(x, y int) float64 {
	h := uint64(n) ^ uint64(x)*0x9e3779b97f4a7c15 ^ uint64(y)*0xc2b2ae3d27d4eb4f
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	h *= 0x94d049bb133111eb
	h ^= h >> 29
	return float64(h>>11) / (1 << 53)
}

func (n noise) plane(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int(fx), int(fy)
	tx, ty := smooth(x-fx), smooth(y-fy)
	top := n.value(ix, iy)*(1-tx) + n.value(ix+1, iy)*tx
	low := n.value(ix, iy+1)*(1-tx) + n.value(ix+1, iy+1)*tx
	return top*(1-ty) + low*ty
}

func (n noise) line(x float64, row int) float64 {
	fx := math.Floor(x)
	t := smooth(x - fx)
	return n.value(int(fx), row)*(1-t) + n.value(int(fx)+1, row)*t
}

// hills sums octaves of a smooth curve; the result is within 0 to 1.
func (n noise) hills(x, offset float64, octaves int) float64 {
	sum, size, total := 0.0, 1.0, 0.0
	for o := range octaves {
		sum += size * n.line(x+offset, 1000+o)
		total += size
		size *= 0.42
		x, offset = x*2.1, offset*1.7
	}
	return sum / total
}

// mountains has sharp crests: each octave is folded at its middle.
func (n noise) mountains(x, offset float64, octaves int) float64 {
	sum, size, total := 0.0, 1.0, 0.0
	for o := range octaves {
		v := 1 - math.Abs(2*n.line(x+offset, 2000+o)-1)
		sum += size * v
		total += size
		size *= 0.48
		x, offset = x*2.05, offset*1.6
	}
	return sum / total
}

func (n noise) clouds(x, y float64) float64 {
	sum, size := 0.0, 0.5
	for range 4 {
		sum += size * n.plane(x, y)
		size /= 2
		x, y = x*2.03+11, y*2.01+7
	}
	return sum / 0.9375
}

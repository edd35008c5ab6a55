package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
)

// A made photo is a landscape out of its seed: a sky, a sun or moon, clouds, ridges that fade with distance, and then water
// that mirrors them, a forest in front, or neither. The same seed always gives the same picture.

// draw returns a photo's picture.
func draw(seed int64, width, height int) (picture, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, landscape(seed, width, height), &jpeg.Options{Quality: 88}); err != nil {
		return picture{}, err
	}
	return picture{Type: "image/jpeg", Data: out.Bytes()}, nil
}

func landscape(seed int64, width, height int) *image.RGBA {
	c := newCanvas(width, height)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	p := palettes[r.IntN(len(palettes))]
	n := noise(r.Uint64())
	horizon := (0.50 + 0.18*r.Float64()) * float64(height)
	c.sky(p, horizon)
	if p.stars {
		c.stars(r, horizon)
	}
	if p.aurora {
		c.aurora(n, horizon)
	}
	sun := point{(0.15 + 0.7*r.Float64()) * c.w, horizon * (0.25 + 0.6*r.Float64())}
	c.sun(p, sun, (0.022+0.03*r.Float64())*c.w)
	c.clouds(p, n, horizon, 0.2+0.6*r.Float64())
	kind := r.IntN(bare + 1)
	last := c.ridges(p, n, r, horizon, kind == lake)
	switch kind {
	case lake:
		c.water(p, n, horizon, sun)
	case forest:
		c.pines(p, r, last)
	}
	if r.IntN(3) == 0 && !p.stars {
		c.birds(p, r, horizon)
	}
	c.vignette()
	return c.image()
}

// kinds of foreground
const (
	lake = iota
	forest
	bare
)

// palette is the light of one hour.
type palette struct {
	top, low      colour // of the sky
	sun           colour
	far, near     colour // ridges
	dune          bool   // smooth ridges
	stars, aurora bool
}

var palettes = []palette{
	{top: rgb(0x35487e), low: rgb(0xf7b98f), sun: rgb(0xfff0cf), far: rgb(0xa58ba4), near: rgb(0x251f38)},                            // dawn
	{top: rgb(0x2f7fcb), low: rgb(0xd8edf7), sun: rgb(0xfffdf0), far: rgb(0x9cbcd2), near: rgb(0x234a34)},                            // noon
	{top: rgb(0x2a1d52), low: rgb(0xf4735c), sun: rgb(0xffd684), far: rgb(0x8d4b70), near: rgb(0x170e20)},                            // dusk
	{top: rgb(0x040818), low: rgb(0x21386b), sun: rgb(0xf2f1e4), far: rgb(0x2a4270), near: rgb(0x04070f), stars: true},               // night
	{top: rgb(0xa9b8c2), low: rgb(0xf0f0ea), sun: rgb(0xffffff), far: rgb(0xc3cccd), near: rgb(0x3d5153)},                            // mist
	{top: rgb(0x6f9fc0), low: rgb(0xfce6c0), sun: rgb(0xfff4d2), far: rgb(0xcb9f70), near: rgb(0x5c2416)},                            // autumn
	{top: rgb(0x030b1c), low: rgb(0x0f4048), sun: rgb(0xdfeee8), far: rgb(0x1d4a58), near: rgb(0x02070c), stars: true, aurora: true}, // north
	{top: rgb(0x3a93c4), low: rgb(0xfde4ba), sun: rgb(0xfff6dd), far: rgb(0xecc08a), near: rgb(0x9c4a22), dune: true},                // desert
	{top: rgb(0x5c4b8a), low: rgb(0xffd9c7), sun: rgb(0xfff1e4), far: rgb(0xc9a5c0), near: rgb(0x3c3157)},                            // lilac
	{top: rgb(0x0f4c75), low: rgb(0xffe2a0), sun: rgb(0xfff3c2), far: rgb(0x6d9a9f), near: rgb(0x0b2a33)},                            // sea
}

func (c *canvas) sky(p palette, horizon float64) {
	for y := range c.rows {
		t := math.Min(1, float64(y)/horizon)
		band := mix(p.top, p.low, t*t*(3-2*t))
		for x := range c.columns {
			c.set(x, y, band)
		}
	}
}

func (c *canvas) stars(r *rand.Rand, horizon float64) {
	for range int(c.w * c.h / 900) {
		x, y := r.Float64()*c.w, r.Float64()*horizon
		bright := math.Pow(r.Float64(), 3) * (1 - y/horizon)
		c.dot(point{x, y}, (0.5+0.7*bright)*c.h/400, rgb(0xf4f6ff), 0.25+0.75*bright)
	}
}

// aurora is curtains of light: bright below, fading upwards.
func (c *canvas) aurora(n noise, horizon float64) {
	for x := range c.columns {
		u := float64(x) / c.w
		foot := horizon * (0.35 + 0.4*n.hills(u*2.5, 40, 3))
		tall := horizon * (0.25 + 0.5*n.hills(u*5, 41, 3))
		fold := 0.35 + 0.65*n.hills(u*22, 42, 2)
		for y := range int(foot) + 1 {
			rise := (foot - float64(y)) / tall
			if rise > 1 {
				continue
			}
			glow := math.Pow(1-rise, 1.6) * smooth(rise*9) * fold
			c.blend(x, y, mix(rgb(0x58f0b0), rgb(0x8a5cf0), rise), 0.75*glow)
		}
	}
}

func (c *canvas) sun(p palette, at point, radius float64) {
	reach := radius * 9
	if p.stars {
		reach = radius * 5
	}
	for y := range c.rows {
		for x := range c.columns {
			d := math.Hypot(float64(x)-at.x, float64(y)-at.y)
			if d < reach {
				glow := 1 - d/reach
				c.blend(x, y, p.sun, 0.55*glow*glow*glow)
			}
		}
	}
	c.dot(at, radius, p.sun, 0.96)
}

func (c *canvas) clouds(p palette, n noise, horizon, amount float64) {
	light := mix(p.low, rgb(0xffffff), 0.45)
	if p.stars {
		light, amount = mix(p.top, p.low, 0.6), amount*0.5
	}
	for y := range int(horizon) {
		v := float64(y) / horizon
		for x := range c.columns {
			u := float64(x) / c.w
			// Clouds lie flatter, and closer together, towards the horizon.
			thick := n.clouds(u*4, v*5+v*v*8)
			cover := smooth((thick - 0.75 + 0.35*amount) * 3.2)
			c.blend(x, y, light, cover*0.7*amount*(0.4+0.6*v))
		}
	}
}

// ridges draws hills from far to near, and returns the outline of the nearest: the y of each column.
func (c *canvas) ridges(p palette, n noise, r *rand.Rand, horizon float64, shore bool) []float64 {
	layers := 3 + r.IntN(4)
	bottom := c.h * 1.02
	if shore {
		bottom = horizon + 1
	}
	rough := 0.5 + 0.5*r.Float64()
	outline := make([]float64, c.columns)
	for layer := range layers {
		t := float64(layer) / float64(layers-1)
		foot := horizon + (bottom-horizon)*math.Pow(t, 1.3)
		tall := c.h * (0.34 - 0.16*t) * (0.6 + 0.5*r.Float64())
		if shore {
			tall = c.h * (0.30 - 0.2*t) * (0.5 + 0.6*r.Float64())
		}
		body := mix(p.far, p.near, math.Pow(t, 0.85))
		wide := 1.6 + 1.4*(1-t)
		for x := range c.columns {
			u := float64(x) / c.w
			rise := n.mountains(u*wide*(0.8+rough), float64(layer)*7.3, 6)
			if p.dune || t > 0.8 {
				rise = n.hills(u*wide, float64(layer)*7.3, 3)
			}
			outline[x] = foot - tall*rise
			c.column(x, outline[x], bottom, func(y float64) colour {
				haze := 0.6 * (1 - t) * smooth((y-foot+tall*0.8)/(tall*1.1)) // it lies in the valleys
				return mix(body, p.low, haze)
			})
		}
	}
	return outline
}

// water mirrors what is above the horizon, broken by ripples that widen towards the viewer.
func (c *canvas) water(p palette, n noise, horizon float64, sun point) {
	shore := int(horizon)
	deep := mix(p.top, p.near, 0.45)
	for y := shore; y < c.rows; y++ {
		near := (float64(y) - horizon) / (c.h - horizon)
		for x := range c.columns {
			u := float64(x) / c.w
			wave := n.clouds(u*6+90, float64(y)*(0.55-0.35*near)) - 0.5
			fromX := x + int(wave*(3+16*near))
			fromY := shore - 1 - int((float64(y)-horizon)*0.95+wave*(2+14*near))
			mirrored := c.at(min(max(fromX, 0), c.columns-1), min(max(fromY, 0), shore-1))
			c.set(x, y, mix(mirrored, deep, 0.18+0.32*near))
			// The sun's road: glints below it, wider towards the viewer.
			away := math.Abs(float64(x)-sun.x) / (c.w * (0.02 + 0.09*near))
			if away < 1 {
				c.blend(x, y, p.sun, (1-away)*smooth(wave*6)*0.55)
			}
		}
	}
}

// pines stand on the nearest ridge, larger ones in front.
func (c *canvas) pines(p palette, r *rand.Rand, outline []float64) {
	dark := mix(p.near, rgb(0x000000), 0.25)
	for row := range 3 {
		size := c.h * (0.05 + 0.05*float64(row))
		shade := mix(p.near, dark, float64(row)/2)
		for x := -size; x < c.w+size; x += size * (0.18 + 0.4*r.Float64()) {
			column := min(max(int(x), 0), c.columns-1)
			foot := math.Min(outline[column], c.h*0.97) + size*(0.2+0.9*float64(row))
			c.pine(point{x, foot}, size*(0.7+0.9*r.Float64()), shade)
		}
	}
}

func (c *canvas) pine(foot point, tall float64, shade colour) {
	for y := foot.y - tall; y < foot.y+tall*0.8; y++ {
		down := (y - (foot.y - tall)) / tall // 0 at the top
		tier := math.Mod(down*6, 1)          // branches widen in each tier
		half := tall * 0.24 * math.Min(1, down) * (0.55 + 0.45*tier)
		c.span(foot.x-half, foot.x+half, int(y), shade)
	}
}

func (c *canvas) birds(p palette, r *rand.Rand, horizon float64) {
	shade := mix(p.near, p.top, 0.25)
	middle := point{(0.2 + 0.6*r.Float64()) * c.w, horizon * (0.2 + 0.4*r.Float64())}
	for range 3 + r.IntN(6) {
		at := point{middle.x + (r.Float64()-0.5)*c.w*0.25, middle.y + (r.Float64()-0.5)*horizon*0.2}
		wing := (2.5 + 3*r.Float64()) * c.h / 320
		for s := -wing; s <= wing; s += 0.25 {
			bend := math.Abs(s) / wing
			c.dot(point{at.x + s, at.y - wing*0.55*math.Sin(bend*2.2)}, 0.55, shade, 0.7)
		}
	}
}

// vignette darkens the corners a little, as a lens does.
func (c *canvas) vignette() {
	for y := range c.rows {
		for x := range c.columns {
			dx, dy := float64(x)/c.w-0.5, float64(y)/c.h-0.5
			c.blend(x, y, colour{}, 0.42*math.Max(0, dx*dx+dy*dy-0.16))
		}
	}
}

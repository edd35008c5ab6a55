package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	maxUpload = 12 << 20   // bytes of a form with a file
	maxPixels = 30_000_000 // of a picture before it is made smaller: a small file can say that it is huge
	maxSide   = 1200       // pixels of a picture as it is kept
	maxTitle  = 100        // characters
)

// sheet is the upload form.
type sheet struct {
	Title    string
	Wrong    string
	MaxTitle int
}

func (t *site) uploadForm(w http.ResponseWriter, r *http.Request) error {
	v, err := t.visitor(r)
	if err != nil {
		return err
	}
	if v.session == nil {
		http.Redirect(w, r, "/signin?next=/upload", http.StatusSeeOther)
		return nil
	}
	return t.show(w, v, http.StatusOK, "upload", "Share a photo", sheet{MaxTitle: maxTitle})
}

func (t *site) upload(w http.ResponseWriter, r *http.Request) error {
	v, err := t.visitor(r)
	if err != nil {
		return err
	}
	if v.session == nil {
		return refusal{http.StatusForbidden, "Sign in first."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	if err := r.ParseMultipartForm(1 << 20); err != nil { // the rest of a file waits on disk
		return unreadable(err)
	}
	defer r.MultipartForm.RemoveAll()
	if err := checkForm(w, r, v.formToken, maxUpload); err != nil {
		return err
	}
	data := sheet{Title: strings.TrimSpace(r.PostFormValue("title")), MaxTitle: maxTitle}
	if data.Title == "" || utf8.RuneCountInString(data.Title) > maxTitle || !utf8.ValidString(data.Title) {
		data.Wrong = fmt.Sprintf("Give the photo a title of up to %d characters.", maxTitle)
		return t.show(w, v, http.StatusBadRequest, "upload", "Share a photo", data)
	}
	file, _, err := r.FormFile("photo")
	if err != nil {
		data.Wrong = "Choose a photo."
		return t.show(w, v, http.StatusBadRequest, "upload", "Share a photo", data)
	}
	defer file.Close()
	pic, size, err := t.taken(r, file)
	var mine refusal
	if errors.As(err, &mine) {
		data.Wrong = mine.text
		return t.show(w, v, mine.status, "upload", "Share a photo", data)
	}
	if err != nil {
		return err
	}
	p := photo{Owner: v.session.User, Title: data.Title, Taken: t.now(), Width: size.X, Height: size.Y}
	id, err := t.store.addPhoto(r.Context(), p, pic)
	if err != nil {
		return fmt.Errorf("storing a photo: %w", err)
	}
	http.Redirect(w, r, fmt.Sprintf("/p/%d", id), http.StatusSeeOther)
	return nil
}

// taken reads a JPEG, PNG or GIF and writes it anew as a JPEG, smaller if it is large: what is served is never a
// visitor's own bytes, and no place or name is left in it.
func (t *site) taken(r *http.Request, file io.ReadSeeker) (picture, image.Point, error) {
	select { // decoding takes as much of the processor as drawing
	case t.drawing <- struct{}{}:
		defer func() { <-t.drawing }()
	case <-r.Context().Done():
		return picture{}, image.Point{}, r.Context().Err()
	}
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return picture{}, image.Point{}, refusal{http.StatusUnsupportedMediaType, "That is no JPEG, PNG or GIF."}
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return picture{}, image.Point{}, refusal{http.StatusRequestEntityTooLarge, "That picture has too many pixels."}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return picture{}, image.Point{}, err
	}
	img, _, err := image.Decode(file)
	if err != nil {
		return picture{}, image.Point{}, refusal{http.StatusUnprocessableEntity, "The picture is damaged."}
	}
	small := shrink(img, maxSide)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: 88}); err != nil {
		return picture{}, image.Point{}, fmt.Errorf("encoding a picture: %w", err)
	}
	return picture{Type: "image/jpeg", Data: out.Bytes()}, small.Bounds().Size(), nil
}

// shrink makes neither side longer than most. Each pixel is the mean of those it stands for; what is transparent
// becomes white.
func shrink(img image.Image, most int) *image.RGBA {
	from := img.Bounds()
	w, h := from.Dx(), from.Dy()
	if longer := max(w, h); longer > most {
		w, h = max(1, w*most/longer), max(1, h*most/longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := from.Min.Y+y*from.Dy()/h, from.Min.Y+(y+1)*from.Dy()/h
		for x := range w {
			x0, x1 := from.Min.X+x*from.Dx()/w, from.Min.X+(x+1)*from.Dx()/w
			var sum [3]uint64
			for sy := y0; sy < y1; sy++ {
				for sx := x0; sx < x1; sx++ {
					r, g, b, a := img.At(sx, sy).RGBA() // multiplied by a already
					white := uint64(0xffff - a)
					sum[0], sum[1], sum[2] = sum[0]+uint64(r)+white, sum[1]+uint64(g)+white, sum[2]+uint64(b)+white
				}
			}
			n := uint64((y1 - y0) * (x1 - x0))
			at := out.PixOffset(x, y)
			for i := range sum {
				out.Pix[at+i] = uint8(sum[i] / n >> 8)
			}
			out.Pix[at+3] = 0xff
		}
	}
	return out
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	frontPhotos  = 25
	userPhotos   = 24
	shownRemarks = 200
	maxRemark    = 1000 // characters of a comment
)

// listing is photos in a grid, with the way to more of them.
type listing struct {
	page
	Owner *user // nil: everyone's
	Count int   // of the owner's photos
	First bool  // the newest are in it
}

// NewerAt and OlderAt are for the links.
func (l listing) NewerAt() int64 { return l.Photos[0].ID }
func (l listing) OlderAt() int64 { return l.Photos[len(l.Photos)-1].ID }

func (t *site) front(w http.ResponseWriter, r *http.Request) error {
	return t.list(w, r, "front", "", frontPhotos, listing{})
}

func (t *site) user(w http.ResponseWriter, r *http.Request) error {
	owner, _, err := t.store.userByName(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	l := listing{Owner: &owner}
	if l.Count, err = t.store.countPhotos(r.Context(), owner.ID); err != nil {
		return err
	}
	return t.list(w, r, "user", owner.Shown, userPhotos, l)
}

func (t *site) list(w http.ResponseWriter, r *http.Request, name, title string, n int, l listing) error {
	v, err := t.visitor(r)
	if err != nil {
		return err
	}
	at, err := placeIn(r)
	if err != nil {
		return err
	}
	var id int64
	if l.Owner != nil {
		id = l.Owner.ID
	}
	if l.page, err = t.store.photosOf(r.Context(), id, at, n); err != nil {
		return err
	}
	if len(l.Photos) == 0 && at != (place{}) { // past either end
		return errNone
	}
	l.First = !l.Newer
	return t.show(w, v, http.StatusOK, name, title, l)
}

// placeIn reads ?before= or ?after=.
func placeIn(r *http.Request) (at place, err error) {
	for name, id := range map[string]*int64{"before": &at.before, "after": &at.after} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		if *id, err = strconv.ParseInt(text, 10, 64); err != nil || *id < 1 {
			return place{}, refusal{http.StatusBadRequest, fmt.Sprintf("%s=%q is no photo's number.", name, text)}
		}
	}
	return at, nil
}

// photoIn finds the photo whose number is in the address.
func (t *site) photoIn(r *http.Request, number string) (photo, error) {
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id < 1 || number != strconv.FormatInt(id, 10) { // one address for each photo
		return photo{}, errNone
	}
	return t.store.photo(r.Context(), id)
}

func (t *site) photo(w http.ResponseWriter, r *http.Request) error {
	v, err := t.visitor(r)
	if err != nil {
		return err
	}
	p, err := t.photoIn(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	newer, older, err := t.store.neighbours(r.Context(), p)
	if err != nil {
		return err
	}
	comments, err := t.store.comments(r.Context(), p.ID, shownRemarks)
	if err != nil {
		return err
	}
	return t.show(w, v, http.StatusOK, "photo", p.Title, struct {
		Photo        photo
		Newer, Older int64
		Comments     []comment
		MaxRemark    int
	}{p, newer, older, comments, maxRemark})
}

func (t *site) addComment(w http.ResponseWriter, r *http.Request) error {
	v, err := t.member(w, r)
	if err != nil {
		return err
	}
	p, err := t.photoIn(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	body := strings.TrimSpace(r.PostFormValue("body"))
	if body == "" || utf8.RuneCountInString(body) > maxRemark || !utf8.ValidString(body) {
		return refusal{http.StatusBadRequest, fmt.Sprintf("A comment has 1 to %d characters.", maxRemark)}
	}
	if err := t.store.addComment(r.Context(), p.ID, v.session.User.ID, body, t.now()); err != nil {
		return err
	}
	http.Redirect(w, r, fmt.Sprintf("/p/%d#comments", p.ID), http.StatusSeeOther)
	return nil
}

// image serves a photo's picture, and draws it first when nobody has looked at it yet. It never changes.
func (t *site) image(w http.ResponseWriter, r *http.Request) error {
	number, ok := strings.CutSuffix(r.PathValue("file"), ".jpg")
	if !ok {
		return errNone
	}
	p, err := t.photoIn(r, number)
	if err != nil {
		return err
	}
	tag := fmt.Sprintf(`"%d"`, p.ID)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.Header.Get("If-None-Match") == tag { // the usual case, without the picture
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	pic, err := t.store.picture(r.Context(), p.ID)
	if errors.Is(err, errNone) {
		pic, err = t.drawn(r, p)
	}
	if err != nil {
		w.Header().Del("ETag")
		return err
	}
	w.Header().Set("Content-Type", pic.Type)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(pic.Data))
	return nil
}

func (t *site) drawn(r *http.Request, p photo) (picture, error) {
	select {
	case t.drawing <- struct{}{}:
		defer func() { <-t.drawing }()
	case <-r.Context().Done():
		return picture{}, r.Context().Err()
	}
	pic, err := draw(p.Seed, p.Width, p.Height)
	if err != nil {
		return pic, fmt.Errorf("drawing photo %d: %w", p.ID, err)
	}
	if err := t.store.keepPicture(r.Context(), p.ID, pic); err != nil {
		slog.Warn("keeping a picture; it will be drawn again", "photo", p.ID, "error", err)
	}
	return pic, nil
}

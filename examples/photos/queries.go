package main

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// errNone says that there is no such row.
var errNone = errors.New("not there")

type user struct {
	ID     int64
	Name   string // in addresses
	Shown  string
	Joined time.Time
}

type photo struct {
	ID            int64
	Title         string
	Taken         time.Time
	Width, Height int
	Seed          int64
	Owner         user // without Joined
}

type comment struct {
	Body    string
	Written time.Time
	Author  user // without Joined
}

// picture is a photo's image as it is stored.
type picture struct {
	Type string
	Data []byte
}

// session is a visitor who signed in.
type session struct {
	User      user
	FormToken string // proves that a form is ours
}

func (s *store) userByName(ctx context.Context, name string) (u user, password string, err error) {
	var joined int64
	row := s.db.QueryRowContext(ctx, s.sql("SELECT id, name, shown, joined, password FROM users WHERE name = ?"), name)
	err = row.Scan(&u.ID, &u.Name, &u.Shown, &joined, &password)
	u.Joined = time.Unix(joined, 0).UTC()
	return u, password, orNone(err)
}

// addUser returns errNone when the name is taken.
func (s *store) addUser(ctx context.Context, name, shown, password string, now time.Time) (id int64, err error) {
	row := s.db.QueryRowContext(ctx, s.sql("INSERT INTO users (name, shown, password, joined) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING id"),
		name, shown, password, now.Unix())
	return id, orNone(row.Scan(&id))
}

// place is a position in a list of photos by descending id: after the photo before, or before the photo after.
type place struct{ before, after int64 }

// page is a part of such a list, and whether there is more on either side.
type page struct {
	Photos       []photo
	Newer, Older bool
}

const photoColumns = `SELECT p.id, p.title, p.taken, p.width, p.height, p.seed, u.id, u.name, u.shown
	FROM photos p JOIN users u ON u.id = p.user_id `

// photosOf lists a user's photos, newest first; everyone's when the user is 0. It seeks by id: page 1,000 costs what
// page 1 does.
func (s *store) photosOf(ctx context.Context, userID int64, at place, n int) (page, error) {
	where, args := "WHERE ", []any{}
	if userID != 0 {
		where, args = "WHERE p.user_id = ? AND ", []any{userID}
	}
	query := where + "p.id < ? ORDER BY p.id DESC LIMIT ?"
	seek := at.before
	switch {
	case at.after != 0:
		query, seek = where+"p.id > ? ORDER BY p.id LIMIT ?", at.after
	case seek == 0:
		seek = 1<<63 - 1
	}
	rows, err := s.db.QueryContext(ctx, s.sql(photoColumns+query), append(args, seek, n+1)...)
	if err != nil {
		return page{}, err
	}
	defer rows.Close()
	var list []photo
	for rows.Next() {
		p, err := scanPhoto(rows)
		if err != nil {
			return page{}, err
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		return page{}, err
	}
	more := len(list) > n
	list = list[:min(n, len(list))]
	if at.after != 0 {
		slices.Reverse(list)
		return page{Photos: list, Newer: more, Older: true}, nil
	}
	return page{Photos: list, Newer: at.before != 0, Older: more}, nil
}

type scanner interface{ Scan(...any) error }

func scanPhoto(row scanner) (p photo, err error) {
	var taken int64
	err = row.Scan(&p.ID, &p.Title, &taken, &p.Width, &p.Height, &p.Seed, &p.Owner.ID, &p.Owner.Name, &p.Owner.Shown)
	p.Taken = time.Unix(taken, 0).UTC()
	return p, orNone(err)
}

func (s *store) photo(ctx context.Context, id int64) (photo, error) {
	return scanPhoto(s.db.QueryRowContext(ctx, s.sql(photoColumns+"WHERE p.id = ?"), id))
}

// neighbours returns the ids of the same user's next newer and next older photo; 0 where there is none.
func (s *store) neighbours(ctx context.Context, p photo) (newer, older int64, err error) {
	row := s.db.QueryRowContext(ctx, s.sql(`SELECT
		coalesce((SELECT min(id) FROM photos WHERE user_id = ? AND id > ?), 0),
		coalesce((SELECT max(id) FROM photos WHERE user_id = ? AND id < ?), 0)`), p.Owner.ID, p.ID, p.Owner.ID, p.ID)
	err = row.Scan(&newer, &older)
	return newer, older, err
}

func (s *store) countPhotos(ctx context.Context, userID int64) (n int, err error) {
	err = s.db.QueryRowContext(ctx, s.sql("SELECT count(*) FROM photos WHERE user_id = ?"), userID).Scan(&n)
	return n, err
}

// addPhoto stores an uploaded photo with its picture.
func (s *store) addPhoto(ctx context.Context, p photo, pic picture) (id int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // does nothing after Commit
	row := tx.QueryRowContext(ctx, s.sql("INSERT INTO photos (user_id, title, taken, width, height, seed) VALUES (?, ?, ?, ?, ?, 0) RETURNING id"),
		p.Owner.ID, p.Title, p.Taken.Unix(), p.Width, p.Height)
	if err := row.Scan(&id); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, s.sql("INSERT INTO images (photo_id, type, data) VALUES (?, ?, ?)"), id, pic.Type, pic.Data); err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func (s *store) picture(ctx context.Context, id int64) (pic picture, err error) {
	row := s.db.QueryRowContext(ctx, s.sql("SELECT type, data FROM images WHERE photo_id = ?"), id)
	return pic, orNone(row.Scan(&pic.Type, &pic.Data))
}

// keepPicture stores a picture that was drawn; another process may have been faster with the same one.
func (s *store) keepPicture(ctx context.Context, id int64, pic picture) error {
	_, err := s.db.ExecContext(ctx, s.sql("INSERT INTO images (photo_id, type, data) VALUES (?, ?, ?) ON CONFLICT (photo_id) DO NOTHING"),
		id, pic.Type, pic.Data)
	return err
}

// comments returns the newest n of a photo, oldest first.
func (s *store) comments(ctx context.Context, photoID int64, n int) ([]comment, error) {
	rows, err := s.db.QueryContext(ctx, s.sql(`SELECT c.body, c.written, u.id, u.name, u.shown
		FROM comments c JOIN users u ON u.id = c.user_id WHERE c.photo_id = ? ORDER BY c.id DESC LIMIT ?`), photoID, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []comment
	for rows.Next() {
		var c comment
		var written int64
		if err := rows.Scan(&c.Body, &written, &c.Author.ID, &c.Author.Name, &c.Author.Shown); err != nil {
			return nil, err
		}
		c.Written = time.Unix(written, 0).UTC()
		list = append(list, c)
	}
	slices.Reverse(list)
	return list, rows.Err()
}

func (s *store) addComment(ctx context.Context, photoID, userID int64, body string, now time.Time) error {
	_, err := s.db.ExecContext(ctx, s.sql("INSERT INTO comments (photo_id, user_id, body, written) VALUES (?, ?, ?, ?)"),
		photoID, userID, body, now.Unix())
	return err
}

// addSession also forgets sessions that are over. token is a hash: who reads the table cannot sign in with it.
func (s *store) addSession(ctx context.Context, token string, userID int64, formToken string, now, expires time.Time) error {
	if _, err := s.db.ExecContext(ctx, s.sql("DELETE FROM sessions WHERE expires < ?"), now.Unix()); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, s.sql("INSERT INTO sessions (token, user_id, form_token, expires) VALUES (?, ?, ?, ?)"),
		token, userID, formToken, expires.Unix())
	return err
}

func (s *store) session(ctx context.Context, token string, now time.Time) (session, error) {
	var v session
	row := s.db.QueryRowContext(ctx, s.sql(`SELECT u.id, u.name, u.shown, s.form_token
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token = ? AND s.expires > ?`), token, now.Unix())
	err := row.Scan(&v.User.ID, &v.User.Name, &v.User.Shown, &v.FormToken)
	return v, orNone(err)
}

func (s *store) endSession(ctx context.Context, token string) error {
	_, err := s.db.ExecContext(ctx, s.sql("DELETE FROM sessions WHERE token = ?"), token)
	return err
}

func orNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNone
	}
	return err
}

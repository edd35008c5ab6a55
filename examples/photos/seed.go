package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// demoPassword is everyone's whom fill made.
const demoPassword = "photos"

const (
	rowsAStatement   = 250     // more gain nothing; PostgreSQL takes 65,535 parameters, SQLite 32,766
	rowsATransaction = 100_000 // few, because each is made durable
	photosAComment   = 5
)

// fill makes users and photos when the database has none. One process does it while others wait. If that one dies, the
// next begins anew.
func (s *store) fill(ctx context.Context, users, photos int, b *bar) error {
	if done, err := s.filled(ctx); done || err != nil {
		return err
	}
	err := s.alone(ctx, func(ctx context.Context) error {
		if done, err := s.filled(ctx); done || err != nil {
			return err
		}
		slog.Info("filling the database", "users", users, "photos", photos)
		begun := time.Now()
		defer b.end()
		if err := s.fillAlone(ctx, users, photos, b); err != nil {
			return err
		}
		slog.Info("filled the database", "took", time.Since(begun).Round(time.Millisecond).String())
		return nil
	})
	if err != nil {
		return fmt.Errorf("filling the database: %w", err)
	}
	return nil
}

func (s *store) filled(ctx context.Context) (bool, error) {
	var value string
	err := orNone(s.db.QueryRowContext(ctx, "SELECT value FROM state WHERE name = 'filled'").Scan(&value))
	if errors.Is(err, errNone) {
		return false, nil
	}
	return err == nil, err
}

func (s *store) fillAlone(ctx context.Context, users, photos int, b *bar) error {
	for _, table := range []string{"sessions", "comments", "images", "photos", "users"} { // of one that died half-way
		if _, err := s.db.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	password, err := hashPassword(ctx, demoPassword) // one hash for all: 100,000 would take hours
	if err != nil {
		return err
	}
	comments := photos / photosAComment
	all, before := users+photos+comments, 0
	now := time.Now()
	for _, part := range []struct {
		name, columns string
		n             int
		row           func(i int, r *rand.Rand) []any
	}{
		{"users", "id, name, shown, password, joined", users, func(i int, r *rand.Rand) []any {
			name, shown := madeName(i)
			return []any{i, name, shown, password, now.Add(-span + time.Duration(r.Int64N(int64(span)))).Unix()}
		}},
		{"photos", "id, user_id, title, taken, width, height, seed", photos, func(i int, r *rand.Rand) []any {
			return madePhoto(i, photos, users, now, r)
		}},
		{"comments", "id, photo_id, user_id, body, written", comments, func(i int, r *rand.Rand) []any {
			photo := 1 + r.IntN(photos)
			written := madeTaken(photo, photos, now).Add(time.Duration(r.Int64N(int64(24 * time.Hour))))
			return []any{i, photo, 1 + r.IntN(users), remarks[r.IntN(len(remarks))], min(written.Unix(), now.Unix())}
		}},
	} {
		show := func(done int) { b.show(part.name, before+done, all) }
		if err := s.insert(ctx, part.name, part.columns, part.n, part.row, show); err != nil {
			return fmt.Errorf("making %s: %w", part.name, err)
		}
		before += part.n
	}
	b.show("indices", all, all)
	if err := s.finishFilling(ctx); err != nil {
		return fmt.Errorf("making indices: %w", err)
	}
	return nil
}

func (s *store) finishFilling(ctx context.Context) error {
	if err := s.execAll(ctx, indices+"; ANALYZE"); err != nil {
		return err
	}
	if s.postgres { // rows came with their ids: let the counters know
		for _, table := range []string{"users", "photos", "comments"} {
			if _, err := s.db.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence('"+table+"', 'id'), greatest((SELECT max(id) FROM "+table+"), 1))"); err != nil {
				return err
			}
		}
	}
	_, err := s.db.ExecContext(ctx, s.sql("INSERT INTO state (name, value) VALUES ('filled', ?)"), time.Now().UTC().Format(time.RFC3339))
	return err
}

// insert adds rows 1 to n, many in a statement and many in a transaction.
func (s *store) insert(ctx context.Context, table, columns string, n int, row func(int, *rand.Rand) []any, show func(done int)) error {
	r := rand.New(rand.NewPCG(1, uint64(len(table))))
	for first := 1; first <= n; first += rowsATransaction {
		if err := s.insertSome(ctx, table, columns, first, min(n, first+rowsATransaction-1), r, row, show); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) insertSome(ctx context.Context, table, columns string, first, last int, r *rand.Rand, row func(int, *rand.Rand) []any, show func(int)) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	statement := func(rows int) string {
		marks := "(?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
		return s.sql("INSERT INTO " + table + " (" + columns + ") VALUES " + marks + strings.Repeat(", "+marks, rows-1))
	}
	full, err := tx.PrepareContext(ctx, statement(rowsAStatement))
	if err != nil {
		return err
	}
	defer full.Close()
	var args []any
	for i := first; i <= last; i += rowsAStatement {
		args = args[:0]
		to := min(last, i+rowsAStatement-1)
		for j := i; j <= to; j++ {
			args = append(args, row(j, r)...)
		}
		if to-i+1 == rowsAStatement {
			_, err = full.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, statement(to-i+1), args...)
		}
		if err != nil {
			return err
		}
		show(to)
	}
	return tx.Commit()
}

// span is how far back made users and photos go.
const span = 10 * 365 * 24 * time.Hour

// madeTaken spreads photos evenly over the span, the last one a minute ago.
func madeTaken(i, photos int, now time.Time) time.Time {
	return now.Add(-time.Minute - time.Duration(float64(span)*float64(photos-i)/float64(photos)))
}

// madePhoto is row i. Few users have many photos and many have few, as on any such site.
func madePhoto(i, photos, users int, now time.Time, r *rand.Rand) []any {
	user := 1 + int(float64(users)*math.Pow(r.Float64(), 2.2))
	width, height := 640, 480
	if r.IntN(5) == 0 {
		width, height = 480, 640
	}
	seed := r.Int64()
	return []any{i, min(user, users), madeTitle(seed), madeTaken(i, photos, now).Unix(), width, height, seed}
}

var (
	firstNames = strings.Fields("Ada Amir Anouk Aoife Astrid Bao Bruno Carmen Chidi Clara Dario Devi Elif Emil Esra Farid Finn Freya " +
		"Goran Hana Hugo Ines Ivo Jonas Juno Kaito Kofi Lars Leila Lina Luca Mabel Mara Mateo Mei Milo Nadia Nils Noor Olga Oscar Petra " +
		"Priya Quinn Rafa Rosa Sami Selma Sofia Tariq Tess Tomas Uma Vera Viktor Wanda Xenia Yara Yusuf Zoe")
	lastNames = strings.Fields("Abel Acosta Adler Almeida Baker Becker Bianchi Bloom Castro Cohen Costa Dahl Diaz Dubois Egger Falk " +
		"Ferrari Fischer Fontaine Garcia Gupta Haddad Hansen Hill Ito Jansen Kaya Keller Kim Klein Kovac Lang Larsen Leroy Lopez Mendes " +
		"Meyer Moreau Nakamura Novak Okafor Olsen Ortiz Park Patel Reyes Ricci Rossi Sato Silva Singh Soler Steiner Tanaka Torres Varga " +
		"Vogel Wagner Weber Yilmaz")
	lights    = strings.Fields("First Last Early Late Soft Pale Golden Silver Blue Warm Cold Quiet Sudden Slow Distant Northern")
	moments   = strings.Fields("light morning evening snow rain frost wind dusk dawn fog sun silence")
	relations = []string{"over", "above", "beyond", "near", "on the way to", "at the foot of", "before", "after"}
	places    = []string{"the bay", "the ridge", "the pass", "Lake Ilm", "the old harbour", "the dunes", "the north face", "the valley",
		"the pines", "the moor", "Cape Lune", "the twin peaks", "the high meadow", "the salt flats", "the glacier", "the last village"}
	remarks = []string{"What a light!", "I know that place, and you caught it.", "How long did you wait for this?", "The colours are unreal.",
		"Makes me want to pack my bag.", "Lovely composition.", "This one belongs on a wall.", "So calm.", "Was it as cold as it looks?",
		"Which lens did you use?", "Been there last summer, all in fog.", "The far ridge makes it.", "More of these, please!"}
)

// madeName is user i's: every name occurs with a number from its second time on.
func madeName(i int) (name, shown string) {
	// A stride that shares no factor with the count of names walks through all of them in a mixed order.
	count := len(firstNames) * len(lastNames)
	at := i * 1301 % count
	first, last := firstNames[at%len(firstNames)], lastNames[at/len(firstNames)]
	name, shown = strings.ToLower(first+"."+last), first+" "+last
	if round := (i - 1) / count; round > 0 {
		name = fmt.Sprintf("%s%d", name, round+1)
	}
	return name, shown
}

func madeTitle(seed int64) string {
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	return pick(lights) + " " + pick(moments) + " " + pick(relations) + " " + pick(places)
}

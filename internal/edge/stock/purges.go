package stock

import (
	"encoding/binary"
	"strings"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
)

// LastPurge is the number of the last purge in force. It is taken before a fetch begins, since what is purged meanwhile is newer than what
// that brings.
func (s *Stock) LastPurge() uint64 { return uint64(s.bans.now()) }

// Purged tells what purges since a number mean for a kept response to requests with a key, and up to which it was held against them. tags is
// room for those of the response.
func (s *Stock) Purged(primary *store.Key, v cache.View, since uint64, tags []uint64) (ban.Verdict, uint64, []uint64) {
	if uint64(s.bans.now()) == since {
		return ban.None, since, tags
	}
	return s.check(primary, v, since, tags)
}

func (s *Stock) check(primary *store.Key, v cache.View, since uint64, tags []uint64) (ban.Verdict, uint64, []uint64) {
	tags = append(v.AppendTags(tags[:0]), keyTag(primary))
	verdict, now := s.bans.check(ban.Seq(since), tags, v.Host(), v.URL())
	return verdict, uint64(now), tags
}

// keyTag is a tag that all responses to requests with a key have, whatever they say.
func keyTag(primary *store.Key) uint64 { return binary.LittleEndian.Uint64(primary[:]) }

// KeyPurge is the purge of all responses to requests with a key.
func KeyPurge(primary *store.Key) ban.Purge {
	return ban.Purge{Kind: ban.Tag, Hard: true, Tag: keyTag(primary)}
}

// Purge puts a purge into force. When it returns, that holds over the death of this process too. ErrHandedOver: another process has the disk,
// and is to be asked. It blocks.
func (s *Stock) Purge(p ban.Purge) error {
	s.turning.RLock()
	defer s.turning.RUnlock()
	return s.purge(p)
}

// PurgeAtOnce is Purge where that blocks on nothing. done is false where it would, and nothing has been done.
func (s *Stock) PurgeAtOnce(p ban.Purge) (done bool, err error) {
	if !s.turning.TryRLock() {
		return false, nil
	}
	defer s.turning.RUnlock()
	if s.disk() != nil {
		return false, nil
	}
	return true, s.purge(p)
}

// purge is Purge for who holds turning.
func (s *Stock) purge(p ban.Purge) error {
	if p.Kind == ban.URL && s.Alike.Load() {
		path, _, _ := strings.Cut(p.Path, "?")
		also := ban.Purge{Kind: ban.Tag, Hard: p.Hard, Tag: s.Seed.AlikeTag([]byte(p.Host), []byte(path))}
		if err := s.add(also); err != nil {
			return err
		}
	}
	if err := s.add(p); err != nil {
		return err
	}
	s.passed(p, p.Kind != ban.URL || s.Alike.Load())
	return nil
}

// add puts one purge on the list, and on the disk's.
func (s *Stock) add(p ban.Purge) error {
	if d := s.disk(); d != nil {
		return d.ban(p)
	}
	return s.bans.add(p)
}

// bans is the list of purges in force, which changes when the disk with the purges of earlier processes comes.
type bans struct{ list atomic.Pointer[ban.List] }

func (b *bans) use(l *ban.List) { b.list.Store(l) }

func (b *bans) now() ban.Seq { return b.list.Load().Now() }

func (b *bans) check(at ban.Seq, tags []uint64, host, path []byte) (ban.Verdict, ban.Seq) {
	return b.list.Load().Check(at, tags, host, path)
}

func (b *bans) add(p ban.Purge) error {
	_, err := b.list.Load().Add(p)
	return err
}

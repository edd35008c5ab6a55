package store

import "testing"

// FuzzOperations holds the store against a map under operations that the fuzzer chooses: two bytes each, what and
// with which key and size.
func FuzzOperations(f *testing.F) {
	f.Add([]byte("\x00\x11\x01\x11\x02\x11\x03\x11\x04\x11"))
	f.Add([]byte("\x00\x81\x00\x82\x05\x81\x06\x81\x03\x81\x07\x00\x08\x00"))
	f.Add([]byte("\x00\xf1\x09\xf1\x0a\x10\x0b\x10\x0a\x20\x0c\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := open(t, Options{Memory: MinMemory, MaxObject: 1 << 20})
		model := map[uint64]want{}
		var pins []Ref
		var fills []*Fill
		version := uint64(0)
		for ; len(ops) >= 2 && version < 3000; ops = ops[2:] {
			key, size := uint64(ops[1]&15), 1<<(ops[1]>>4)*37
			version++
			switch ops[0] % 12 {
			case 0, 1:
				if put(s, key, version, size) == nil {
					model[key] = want{version, size}
				}
			case 2:
				s.Delete(keyOf(key))
				delete(model, key)
			case 3, 4, 5:
				r, ok := s.Get(keyOf(key))
				if !ok {
					continue
				}
				w, known := model[key]
				if _, v, err := check(r); err != nil || !known || v != w.version {
					t.Fatalf("key %d: version %d, want %+v (known %v): %v", key, v, w, known, err)
				}
				if ops[0]%12 == 3 {
					pins = append(pins, r)
					continue
				}
				if ops[0]%12 == 4 {
					_ = s.ReplaceHead(r, headOf(key, w.version, int64(w.size))) // for lack of room it stays as it is
				}
				r.Release()
			case 6:
				if len(pins) > 0 {
					if _, _, err := check(pins[0]); err != nil {
						t.Fatal(err)
					}
					pins[0].Release()
					pins = pins[1:]
				}
			case 7:
				if fl, err := s.Begin(keyOf(100), nil, int64(size)-20); err == nil {
					fills = append(fills, fl)
				}
			case 8:
				for _, fl := range fills {
					_, _ = fl.Write(make([]byte, size)) // ErrFull is fine
				}
			case 9, 10:
				if len(fills) > 0 {
					if ops[0]%12 == 9 {
						fills[0].Abort()
					} else if err := fills[0].Commit(); err != nil {
						t.Fatal(err)
					}
					fills = fills[1:]
				}
			case 11:
				s.Resize(Options{Memory: MinMemory + int64(size)*16})
			}
		}
		for _, fl := range fills {
			fl.Abort()
		}
		for _, r := range pins {
			r.Release()
		}
		clearAll(s)
		empty(t, s)
	})
}

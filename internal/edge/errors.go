package edge

import (
	"errors"
	"io"
	"strconv"

	"github.com/weirhq/weir/internal/loop"
)

// errUnwanted: nobody reads what comes, and it is not kept.
var errUnwanted = errors.New("nobody reads it any more")

func isEOF(err error) bool     { return errors.Is(err, io.EOF) }
func isTimeout(err error) bool { return errors.Is(err, loop.ErrTimeout) }

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

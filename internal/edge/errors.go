package edge

import (
	"errors"
	"io"
	"strconv"

	"github.com/weirhq/weir/internal/loop"
)

func isEOF(err error) bool     { return errors.Is(err, io.EOF) }
func isTimeout(err error) bool { return errors.Is(err, loop.ErrTimeout) }

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

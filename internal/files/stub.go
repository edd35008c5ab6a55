package files
import "github.com/weirhq/weir/internal/config"
type Root struct{}
func New(*config.Files) (*Root, error) { return nil, nil }

module github.com/weirhq/weir

go 1.26.0

require (
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/sys v0.49.0
)

require github.com/stretchr/testify v1.11.1 // indirect

// Package config turns the text of a configuration file into checked, immutable values. Every error is found at
// once and names the file, line and column, shows the line and says what to write instead. It opens no socket and
// starts nothing.
package config

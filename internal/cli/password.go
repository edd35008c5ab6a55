package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

// leastPassword is how many characters a password must have: one that is tried slowly, and over a network.
const leastPassword = 8

// passwordCommand hashes a password for admin.users.
func passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Hash a password for somebody who signs in at the status page",
		Long:  "Asks for a password, twice, and prints what to write in the configuration as admin.users.NAME.password. From a pipe it reads one line.",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			word, err := askPassword(c.InOrStdin(), c.ErrOrStderr())
			if err != nil {
				return err
			}
			switch {
			case len([]rune(word)) < leastPassword:
				return fmt.Errorf("the password is too short: take %d characters or more", leastPassword)
			case len(word) > 72: // all that bcrypt looks at
				return errors.New("the password is too long: take 72 bytes or less")
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(word), bcrypt.DefaultCost)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), string(hash)) //nolint:errcheck // as everywhere
			return nil
		},
	}
}

// askPassword reads one from a terminal without showing it, or the first line of what is no terminal.
func askPassword(in io.Reader, say io.Writer) (string, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		var words [2]string
		for i, ask := range []string{"Password: ", "Again: "} {
			fmt.Fprint(say, ask) //nolint:errcheck // as everywhere
			word, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(say) //nolint:errcheck // as everywhere
			if err != nil {
				return "", fmt.Errorf("reading the password: %w", err)
			}
			words[i] = string(word)
		}
		if words[0] != words[1] {
			return "", errors.New("these were two different passwords: try again")
		}
		return words[0], nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

package probe

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// scram is a login by SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: the password is not sent, and the server has
// to show that it knows it too.
type scram struct {
	nonce   string
	bare    string // the first message without its header
	proof   []byte // what the server has to send
	begun   bool
	trusted bool // it has
}

// maxIterations bounds what a server can make a check compute. PostgreSQL has 4096.
const maxIterations = 100_000

var errSCRAM = errors.New("what it says is not SCRAM-SHA-256")

// offersSCRAM looks for the mechanism in the list of those that a server offers.
func offersSCRAM(list []byte) bool {
	for _, name := range bytes.Split(list, []byte{0}) {
		if string(name) == "SCRAM-SHA-256" {
			return true
		}
	}
	return false
}

// first is the client's first message. The name is the server's affair: it has been said already.
func (s *scram) first() []byte {
	s.nonce, s.begun, s.proof, s.trusted = rand.Text(), true, nil, false
	s.bare = "n=,r=" + s.nonce
	return []byte("n,," + s.bare)
}

// final answers the server's first message.
func (s *scram) final(server []byte, password string) ([]byte, error) {
	fields := strings.Split(string(server), ",")
	if !s.begun || s.proof != nil || len(fields) < 3 {
		return nil, errSCRAM
	}
	nonce, isNonce := strings.CutPrefix(fields[0], "r=")
	salted, isSalt := strings.CutPrefix(fields[1], "s=")
	rounds, isRounds := strings.CutPrefix(fields[2], "i=")
	salt, err := base64.StdEncoding.DecodeString(salted)
	n, nerr := strconv.Atoi(rounds)
	switch {
	case !isNonce || !isSalt || !isRounds || err != nil || nerr != nil || n < 1 || len(salt) == 0:
		return nil, errSCRAM
	case len(nonce) <= len(s.nonce) || nonce[:len(s.nonce)] != s.nonce:
		return nil, errSCRAM
	case n > maxIterations:
		return nil, errors.New("its password takes " + strconv.Itoa(n) + " rounds of SCRAM, and checks do at most " + strconv.Itoa(maxIterations))
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		return nil, err
	}
	without := "c=biws,r=" + nonce
	all := []byte(s.bare + "," + string(server) + "," + without)
	client := mac(key, []byte("Client Key"))
	stored := sha256.Sum256(client)
	signature := mac(stored[:], all)
	subtle.XORBytes(client, client, signature)
	s.proof = mac(mac(key, []byte("Server Key")), all)
	return []byte(without + ",p=" + base64.StdEncoding.EncodeToString(client)), nil
}

// verify looks at the server's proof.
func (s *scram) verify(server []byte) error {
	got, is := strings.CutPrefix(string(server), "v=")
	proof, err := base64.StdEncoding.DecodeString(got)
	if !is || err != nil || s.proof == nil || !hmac.Equal(proof, s.proof) {
		return errors.New("it does not know the password itself: it is not the server that it should be")
	}
	s.trusted = true
	return nil
}

// over ends the login. One that was begun has to have been proved.
func (s *scram) over() error {
	if s.begun && !s.trusted {
		return errSCRAM
	}
	return nil
}

func mac(key, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return m.Sum(nil)
}

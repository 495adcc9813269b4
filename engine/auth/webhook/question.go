package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/gannetmq/gannet/engine/auth/work"
	"github.com/gannetmq/gannet/engine/session"
)

// question is what is asked about a client.
type question struct {
	ClientID       string  `json:"client_id"`
	UserName       *string `json:"username,omitempty"`
	Password       *string `json:"password,omitempty"`
	PasswordBase64 []byte  `json:"password_base64,omitempty"`
	Address        string  `json:"address"`
	Listener       string  `json:"listener"`
	Protocol       int     `json:"protocol"`
}

func newQuestion(c *session.Credentials) *question {
	q := &question{ClientID: c.ClientID, Address: work.Address(c.Addr), Listener: c.Listener, Protocol: int(c.Version)}
	if c.HasUserName {
		q.UserName = &c.UserName
	}
	if c.HasPassword {
		password := string(c.Password)
		q.Password = &password
	}
	return q
}

// digest is that of everything that is asked, so that an answer is remembered for nothing else.
func (q *question) digest(secret []byte) work.Key {
	h := hmac.New(sha256.New, secret)
	var size [8]byte
	part := func(s *string) {
		n := uint64(1<<64 - 1) // there is none
		if s != nil {
			n = uint64(len(*s))
		}
		binary.BigEndian.PutUint64(size[:], n)
		h.Write(size[:])
		if s != nil {
			h.Write([]byte(*s))
		}
	}
	protocol := strconv.Itoa(q.Protocol)
	for _, s := range []*string{&q.ClientID, q.UserName, q.Password, &q.Address, &q.Listener, &protocol} {
		part(s)
	}
	return work.Key(h.Sum(nil))
}

// known is what is asked about a client that has been let in: without its password, with the names that it has now.
func (q *question) known(v *session.Verdict) *question {
	known := *q
	known.Password = nil
	if v.UserName != "" {
		known.UserName = &v.UserName
	}
	if v.ClientID != "" {
		known.ClientID = v.ClientID
	}
	return &known
}

// encode returns what the format needs of method, query, content type and body.
func (q *question) encode(f Format) (method string, query url.Values, contentType string, body []byte, err error) {
	switch f {
	case Form:
		return "POST", nil, "application/x-www-form-urlencoded", []byte(q.values().Encode()), nil
	case Query:
		return "GET", q.values(), "", nil, nil
	}
	asked := *q
	if p := q.Password; p != nil && !utf8.ValidString(*p) {
		asked.Password, asked.PasswordBase64 = nil, []byte(*p)
	}
	body, err = json.Marshal(&asked)
	return "POST", nil, "application/json", body, err
}

func (q *question) values() url.Values {
	v := url.Values{
		"client_id": {q.ClientID}, "address": {q.Address}, "listener": {q.Listener}, "protocol": {strconv.Itoa(q.Protocol)},
	}
	if q.UserName != nil {
		v.Set("username", *q.UserName)
	}
	if q.Password != nil {
		v.Set("password", *q.Password)
	}
	return v
}

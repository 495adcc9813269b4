package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/httpclient"
	"github.com/gannetmq/gannet/engine/session"
)

// failure is why there is no answer that could be used.
type failure struct {
	err   error
	alive bool // but the service is there
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errAnswer is all that is said about an answer that cannot be understood.
var errAnswer = errors.New("the answer is not one of those that are documented")

// outcome is an answer, and how long it may be remembered.
type outcome struct {
	answer  auth.Answer
	rules   bool // it came with rules of the client's own
	expires time.Time
	ttl     time.Duration // as the service says; negative: it does not
}

// reply is the JSON of an answer.
type reply struct {
	Result   string          `json:"result"`
	UserName string          `json:"username"`
	ClientID string          `json:"client_id"`
	ACL      json.RawMessage `json:"acl"`
	ExpireAt *float64        `json:"expire_at"`
}

// read understands an answer about a client.
func (j *Judge) read(a *httpclient.Answer, now time.Time) (*outcome, error) {
	o := &outcome{ttl: maxAge(a.Header.Values("Cache-Control"))}
	switch a.Status {
	case 401, 403:
		o.answer = refuse(codec.NotAuthorized)
		return o, nil
	case 404:
		return o, nil
	case 204:
		o.answer.Opinion = auth.Allow
		return o, nil
	case 200:
	default:
		return nil, statusFailure(a.Status)
	}
	if len(bytes.TrimSpace(a.Body)) == 0 {
		o.answer.Opinion = auth.Allow
		return o, nil
	}
	var r reply
	if json.Unmarshal(a.Body, &r) != nil {
		return nil, &failure{err: errAnswer}
	}
	switch r.Result {
	case "allow":
		return o, j.admit(o, &r, now)
	case "deny":
		o.answer = refuse(codec.NotAuthorized)
		return o, nil
	case "ignore":
		return o, nil
	}
	return nil, &failure{err: errAnswer}
}

func statusFailure(status int) error {
	return &failure{fmt.Errorf("status %d", status), status >= 400 && status < 500 && status != 408 && status != 429}
}

// admit takes over what an answer that allows says of the client.
func (j *Judge) admit(o *outcome, r *reply, now time.Time) error {
	v := session.Verdict{UserName: r.UserName, ClientID: r.ClientID}
	for _, name := range []string{r.UserName, r.ClientID} {
		if !codec.ValidString([]byte(name)) || len(name) > math.MaxUint16 {
			return &failure{err: errors.New("the answer has a name that no client can have")}
		}
	}
	if r.ExpireAt != nil {
		if *r.ExpireAt < 0 || *r.ExpireAt > latestSeconds {
			return &failure{err: errors.New("expire_at in the answer is not in seconds since 1970")}
		}
		o.expires = time.UnixMilli(int64(*r.ExpireAt * 1000))
		if !o.expires.After(now) {
			o.answer = refuse(codec.NotAuthorized)
			return nil
		}
		v.Expires = session.Time(o.expires.UnixMilli())
	}
	var err error
	if v.Authorizer, err = j.rules(r.ACL, now); err != nil {
		return err
	}
	o.rules = v.Authorizer != nil
	o.answer = auth.Answer{Opinion: auth.Allow, Verdict: v}
	return nil
}

// rules reads those of a client; nil, without an error, if there are none.
func (j *Judge) rules(acl json.RawMessage, now time.Time) (session.Authorizer, error) {
	if len(acl) == 0 || string(acl) == "null" {
		return nil, nil
	}
	a, err := j.grants.Read(acl, now)
	if err != nil {
		return nil, &failure{err: errors.New("acl in the answer is not valid")}
	}
	return a, nil
}

// readRules understands an answer of the second URL. It may refuse the client, too.
func (j *Judge) readRules(o *outcome, a *httpclient.Answer, now time.Time) (err error) {
	switch a.Status {
	case 401, 403:
		o.answer = refuse(codec.NotAuthorized)
		return nil
	case 204, 404:
		return nil
	case 200:
	default:
		return statusFailure(a.Status)
	}
	var r reply
	if json.Unmarshal(a.Body, &r) != nil {
		return &failure{err: errAnswer}
	}
	o.answer.Verdict.Authorizer, err = j.rules(r.ACL, now)
	return err
}

// maxAge is the time that Cache-Control gives, 0 if it forbids to remember, negative if it says nothing of the kind.
func maxAge(values []string) time.Duration {
	age := time.Duration(-1)
	for _, value := range values {
		for directive := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if seconds, err := strconv.ParseUint(strings.Trim(argument, `"`), 10, 31); err == nil {
					age = min(time.Duration(seconds)*time.Second, TTLMax)
				} else {
					return 0 // whatever it means, it is not for ever
				}
			}
		}
	}
	return age
}

func refuse(code codec.ReasonCode) auth.Answer {
	return auth.Answer{Opinion: auth.Deny, Verdict: session.Verdict{Code: code}}
}

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Problem is a refusal of the API (RFC 9457).
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []Detail `json:"errors"`
	Help   string   `json:"help"` // the operation that helps, such as list_users
}

// Detail is one field that the API's schema does not allow.
type Detail struct {
	Message  string `json:"message"`
	Location string `json:"location"` // such as body.reason
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// Code is the machine-readable code of a problem, such as not_found.
func (p *Problem) Code() string { return strings.TrimPrefix(p.Type, "urn:keyfob:problem:") }

// IsProblem reports whether an error is a Problem with a code.
func IsProblem(err error, code string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code() == code
}

// maxProblem limits the size of a problem, in bytes.
const maxProblem = 64 << 10

func problemIn(resp *http.Response) error {
	p := &Problem{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil || json.Unmarshal(body, p) != nil || p.Detail == "" {
		return &UnreachableError{At: resp.Request.URL.Host, Err: fmt.Errorf("it answered %s, which is not keyfob's API", resp.Status)}
	}
	return p
}

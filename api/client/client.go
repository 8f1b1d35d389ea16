// Package client calls the API of a node: one method per operation, with the
// types of package api as requests and answers.
//
// A refusal is a *Problem, and a node that cannot be reached is an
// *UnreachableError. Listings are read page by page to their end; streams are
// read as they arrive.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyfob/api"
)

// answerTimeout limits every call except streams.
const answerTimeout = 30 * time.Second

// Client calls the API of one node. It is safe for concurrent use.
type Client struct{ transport Transport }

// New returns a client that uses a transport.
func New(t Transport) *Client { return &Client{transport: t} }

// stream sends a request and returns the response if it succeeded. The
// caller closes its body.
func (c *Client) stream(ctx context.Context, method, path string, in any) (*http.Response, error) {
	return c.send(ctx, method, path, in, nil)
}

func (c *Client) send(ctx context.Context, method, path string, in any, header http.Header) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, api.Prefix+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.transport.Do(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusAccepted:
		defer resp.Body.Close()
		return nil, pendingIn(resp)
	case resp.StatusCode/100 != 2:
		defer resp.Body.Close()
		return nil, problemIn(resp)
	}
	return resp, nil
}

// call sends a request and decodes the answer.
func call[O any](ctx context.Context, c *Client, method, path string, in any) (O, error) {
	return callWith[O](ctx, c, method, path, in, nil)
}

func callWith[O any](ctx context.Context, c *Client, method, path string, in any, header http.Header) (out O, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, in, header)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("reading the node's answer: %w", err)
	}
	return out, nil
}

// do sends a request whose answer has no body.
func (c *Client) do(ctx context.Context, method, path string, in any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, in, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func get[O any](ctx context.Context, c *Client, path string) (O, error) {
	return call[O](ctx, c, http.MethodGet, path, nil)
}

func post[O any](ctx context.Context, c *Client, path string, in any) (O, error) {
	return call[O](ctx, c, http.MethodPost, path, in)
}

// remove deletes the resource at a path, for a reason.
func (c *Client) remove(ctx context.Context, path, reason string) error {
	return c.do(ctx, http.MethodDelete, path+encode(api.RemovalQuery{Reason: reason}), nil)
}

// pageSize is the largest page that the API returns.
const pageSize = 1000

// list reads all pages of a listing.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	items := []T{}
	query.Set("limit", fmt.Sprint(pageSize))
	for {
		page, err := get[api.List[T]](ctx, c, path+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items, nil
		}
		query.Set("after", page.Next)
	}
}

// at formats a path with escaped names.
func at(parts ...string) string {
	var path strings.Builder
	for _, p := range parts {
		path.WriteString("/" + url.PathEscape(p))
	}
	return path.String()
}

package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"keyfob/api"
)

// ReadAudit returns the events that a query selects, one CloudEvents object
// each, in order. A query that follows ends with the context.
func (c *Client) ReadAudit(ctx context.Context, query api.ReadAuditQuery) iter.Seq2[[]byte, error] {
	return c.events(ctx, "/audit"+encode(query))
}

// ReadUserAudit is ReadAudit for the events of one user.
func (c *Client) ReadUserAudit(ctx context.Context, user string, query api.ReadUserAuditQuery) iter.Seq2[[]byte, error] {
	return c.events(ctx, at("users", user, "audit")+encode(query))
}

func (c *Client) events(ctx context.Context, path string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		resp, err := c.stream(ctx, http.MethodGet, path, nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadBytes('\n')
			switch {
			case err == nil:
				if !yield(line, nil) {
					return
				}
				continue
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
			case !errors.Is(err, io.EOF) || len(line) > 0:
				yield(nil, fmt.Errorf("the node ended the audit trail in the middle of an event: %w; its log says why", err))
			}
			return
		}
	}
}

// ShowReference returns what a reference stands for.
func (c *Client) ShowReference(ctx context.Context, reference string) (api.ReferenceReport, error) {
	return get[api.ReferenceReport](ctx, c, at("audit", "references", reference))
}

// IssueAuditReader issues credentials to read the audit stream.
func (c *Client) IssueAuditReader(ctx context.Context, in api.IssueAuditReaderRequest) (api.IssuedAuditReader, error) {
	return post[api.IssuedAuditReader](ctx, c, "/audit/readers", in)
}

// ListAuditReaders returns the readers of the audit stream, by name.
func (c *Client) ListAuditReaders(ctx context.Context) ([]api.AuditReader, error) {
	return list[api.AuditReader](ctx, c, "/audit/readers", values(api.Page{}))
}

// RevokeAuditReader revokes the credentials of a reader.
func (c *Client) RevokeAuditReader(ctx context.Context, name, reason string) error {
	return c.remove(ctx, at("audit", "readers", name), reason)
}

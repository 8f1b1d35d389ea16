package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// AuditReader is a consumer of the audit stream, without its credentials.
type AuditReader struct {
	Name     string     `json:"name"`
	Key      string     `json:"public_key" doc:"Public key that the credentials are signed with."`
	Issued   *time.Time `json:"issued"`
	IssuedBy string     `json:"issued_by,omitempty"`
	Node     string     `json:"node,omitempty" doc:"Node that issued the credentials. Revoke them if it may have been misused."`
	Expires  *time.Time `json:"expires"`
}

// IssuedAuditReader is an audit reader with its credentials.
type IssuedAuditReader struct {
	AuditReader
	Credentials string `json:"credentials" doc:"Text of a NATS credentials file, shown only once. Valid at the embedded server of every node."`
}

func viewAuditReader(r *engine.AuditReader) AuditReader {
	return AuditReader{Name: r.Name, Key: r.Key, Issued: instant(r.Issued), IssuedBy: r.IssuedBy, Node: r.Node, Expires: instant(r.Expires)}
}

// IssueAuditReaderRequest issues credentials to read the audit stream.
type IssueAuditReaderRequest struct {
	CommandRequest
	Name       string `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	TTLSeconds int    `json:"ttl_seconds,omitempty" minimum:"60" maximum:"157680000" default:"31536000" doc:"Lifetime of the credentials; default one year."`
}

type issueAuditReaderInput struct{ Body IssueAuditReaderRequest }

type auditReaderRemoval struct {
	Name string `path:"name" maxLength:"64"`
	RemovalQuery
}

func (a *API) auditReaders() {
	register(a, route{get, "/audit/readers", "list-audit-readers", "List the readers of the audit stream, by name", auditors, 0}, a.listAuditReaders)
	register(a, route{post, "/audit/readers", "issue-audit-reader", "Issue credentials to read the audit stream on NATS, shown once", administrators, 201}, a.issueAuditReader)
	register(a, route{remove, "/audit/readers/{name}", "revoke-audit-reader", "Revoke the credentials of an audit reader and close its connections", administrators, 0}, a.revokeAuditReader)
}

// listAuditReaders lists the readers. The embedded server of this node accepts
// them when it answers.
func (a *API) listAuditReaders(ctx context.Context, in *Page) (*answer[List[AuditReader]], error) {
	a.cfg.SyncReaders(ctx)
	return answered(page(*in, a.cfg.Node.State().AuditReaders,
		func(r *engine.AuditReader) string { return r.Name },
		func(r *engine.AuditReader) (AuditReader, bool) { return viewAuditReader(r), true })), nil
}

func (a *API) issueAuditReader(ctx context.Context, in *issueAuditReaderInput) (*answer[IssuedAuditReader], error) {
	now := a.cfg.Now()
	expires := now.Add(time.Duration(in.Body.TTLSeconds) * time.Second)
	key, credentials, err := a.cfg.NewReader(in.Body.Name, expires)
	if err != nil {
		return nil, err
	}
	issued := events.AuditReaderIssued{Name: in.Body.Name, Key: key, Expires: events.At(expires)}
	if err := a.do(ctx, in.Body.Reason, engine.IssueAuditReader{Reader: issued}); err != nil {
		return nil, err
	}
	a.cfg.SyncReaders(ctx)
	r := AuditReader{Name: issued.Name, Key: key, Issued: instant(events.At(now)), IssuedBy: callerOf(ctx).name, Node: a.cfg.Name, Expires: instant(issued.Expires)}
	return answered(IssuedAuditReader{AuditReader: r, Credentials: string(credentials)}), nil
}

func (a *API) revokeAuditReader(ctx context.Context, in *auditReaderRemoval) (*none, error) {
	if err := a.do(ctx, in.Reason, engine.RevokeAuditReader{Name: in.Name}); err != nil {
		return nil, err
	}
	a.cfg.SyncReaders(ctx)
	return nil, nil
}

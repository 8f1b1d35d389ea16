package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// SizeHeader says about how many bytes a backup will have.
const SizeHeader = "Keyfob-Backup-Bytes"

// Backup is a copy of all that a node holds, sealed, about to be written.
type Backup interface {
	Size() int64 // about
	io.WriterTo
}

// RecoveryKey names the key that opens backups.
type RecoveryKey struct {
	Name string `json:"name" doc:"Short name of the key that backups are sealed for; empty when there is none yet."`
}

// SetRecoveryKeyRequest sets the key that backups are sealed for.
type SetRecoveryKeyRequest struct {
	CommandRequest
	Public []byte `json:"public" maxLength:"4096" doc:"The public half, in base64. The other half stays with whoever made it."`
}

type setRecoveryKeyInput struct{ Body SetRecoveryKeyRequest }

type backUpInput struct{ Body CommandRequest }

func (a *API) backups() {
	register(a, route{get, "/cluster/recovery-key", "show-recovery-key", "Name the key that opens backups", auditors, 0}, a.showRecoveryKey)
	register(a, route{post, "/cluster/recovery-key", "set-recovery-key", "Say for which recovery key backups are sealed from here on", administrators, 0}, a.setRecoveryKey)
	huma.Register(a.huma, huma.Operation{
		Method:       post,
		Path:         Prefix + "/cluster/backup",
		OperationID:  "back-up",
		Summary:      "Write a backup: the state and the audit trail, sealed for the recovery key",
		Description:  "For: " + administrators.String() + ". An answer that is cut off is no backup. " + SizeHeader + " says about how long it will be.",
		Tags:         []string{"cluster"},
		MaxBodyBytes: maxBody,
		Metadata:     map[string]any{rolesKey: administrators},
		Responses: map[string]*huma.Response{"200": {
			Description: "The backup",
			Content:     map[string]*huma.MediaType{"application/octet-stream": {}},
		}},
	}, a.backUp)
}

func (a *API) showRecoveryKey(context.Context, *struct{}) (*answer[RecoveryKey], error) {
	return answered(RecoveryKey{Name: a.cfg.Cluster.RecoveryKey()}), nil
}

func (a *API) setRecoveryKey(ctx context.Context, in *setRecoveryKeyInput) (*answer[RecoveryKey], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Cluster.SetRecoveryKey(ctx, o, in.Body.Public); err != nil {
		return nil, err
	}
	return answered(RecoveryKey{Name: a.cfg.Cluster.RecoveryKey()}), nil
}

func (a *API) backUp(ctx context.Context, in *backUpInput) (*huma.StreamResponse, error) {
	select {
	case a.backing <- struct{}{}:
	default:
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "this node writes a backup already; wait for that, or ask another node"))
	}
	done := func() { <-a.backing }
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		done()
		return nil, a.problemOf(ctx, "back-up", err)
	}
	backup, err := a.cfg.Cluster.Backup(ctx, o)
	if err != nil {
		done()
		return nil, a.problemOf(ctx, "back-up", err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer done()
		a.send(hc, backup)
	}}, nil
}

// send writes a backup. An error cuts the connection, which the reader sees.
func (a *API) send(hc huma.Context, backup Backup) {
	r, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(SizeHeader, strconv.FormatInt(backup.Size(), 10))
	if _, err := backup.WriteTo(patient{w, http.NewResponseController(w)}); err != nil {
		a.cfg.Log.ErrorContext(r.Context(), "writing a backup", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// patient gives a reader a while for each piece, however long the whole is.
type patient struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeWait))
	return p.Writer.Write(b)
}

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

// SizeHeader is the header with the approximate size of a backup in bytes.
const SizeHeader = "Keyfob-Backup-Bytes"

// Backup is a sealed copy of everything that a node has, ready to be written.
type Backup interface {
	Size() int64 // approximately
	io.WriterTo
}

// RecoveryKey names the key that decrypts backups.
type RecoveryKey struct {
	Name string `json:"name" doc:"Short name of the key that backups are sealed for; empty: none yet."`
}

// SetRecoveryKeyRequest sets the key that backups are sealed for.
type SetRecoveryKeyRequest struct {
	CommandRequest
	Public []byte `json:"public" maxLength:"4096" doc:"Public half of the key, in base64. The private half never reaches the cluster."`
}

type setRecoveryKeyInput struct{ Body SetRecoveryKeyRequest }

type backUpInput struct{ Body CommandRequest }

func (a *API) backups() {
	register(a, route{get, "/cluster/recovery-key", "show-recovery-key", "Show the name of the recovery key", auditors, 0}, a.showRecoveryKey)
	register(a, route{post, "/cluster/recovery-key", "set-recovery-key", "Set the recovery key that backups are sealed for", administrators, 0}, a.setRecoveryKey)
	huma.Register(a.huma, huma.Operation{
		Method:       post,
		Path:         Prefix + "/cluster/backup",
		OperationID:  "back-up",
		Summary:      "Write a backup: the state and the audit trail, sealed for the recovery key",
		Description:  "Roles: " + administrators.String() + ". An answer that is cut off is not a backup. " + SizeHeader + " has the approximate size.",
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
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "this node is already writing a backup; wait for it, or ask another node"))
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

// send writes a backup. An error cuts the connection, so that the client notices it.
func (a *API) send(hc huma.Context, backup Backup) {
	r, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(SizeHeader, strconv.FormatInt(backup.Size(), 10))
	if _, err := backup.WriteTo(timedWriter{w, http.NewResponseController(w)}); err != nil {
		a.cfg.Log.ErrorContext(r.Context(), "backup failed", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// timedWriter gives the client a time limit for each piece instead of for the whole.
type timedWriter struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (w timedWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeWait))
	return w.Writer.Write(b)
}

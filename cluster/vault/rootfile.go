package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"keyfob/cluster/atomicfile"
)

const (
	rootFileFormat = 1
	maxRootFile    = 64 << 10 // bytes; 255 versions wrapped and in base64 are 12 KB
)

// rootFile is the wrapped root key as stored on disk. Cluster and provider are for
// error messages; both are bound to Wrapped as well.
type rootFile struct {
	Format   int    `json:"format"`
	Cluster  string `json:"cluster"`
	Provider string `json:"provider"`
	Wrapped  []byte `json:"wrapped"`
}

// Save wraps the root key and writes it to path atomically.
func (r Root) Save(ctx context.Context, path string, provider Provider, clusterID string) error {
	data, err := r.wrap(ctx, provider, clusterID)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, data, 0o600); err != nil {
		return fmt.Errorf("saving root key: %w", err)
	}
	return nil
}

// Move is Save with another provider. The file at path stays as it is until the new
// one has been unwrapped.
func (r Root) Move(ctx context.Context, path string, provider Provider, clusterID string) error {
	data, err := r.wrap(ctx, provider, clusterID)
	if err != nil {
		return err
	}
	trial := path + ".new"
	defer os.Remove(trial)
	if err := atomicfile.Write(trial, data, 0o600); err != nil {
		return fmt.Errorf("saving root key: %w", err)
	}
	again, err := LoadRoot(ctx, trial, provider, clusterID)
	if err != nil {
		return err
	}
	defer again.Wipe()
	if before, after := r.encode(), again.encode(); !bytes.Equal(before, after) {
		return fmt.Errorf("%s unwraps another root key than it was given", provider.Name())
	}
	if err := atomicfile.Write(path, data, 0o600); err != nil {
		return fmt.Errorf("saving root key: %w", err)
	}
	return nil
}

// wrap returns the content of the file.
func (r Root) wrap(ctx context.Context, provider Provider, clusterID string) ([]byte, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	wrapped, err := provider.Wrap(ctx, plaintext, rootPlace(provider, clusterID))
	if err != nil {
		return nil, fmt.Errorf("wrapping root key with %s: %w", provider.Name(), err)
	}
	data, err := json.MarshalIndent(rootFile{rootFileFormat, clusterID, provider.Name(), wrapped}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("saving root key: %w", err)
	}
	return append(data, '\n'), nil
}

// LoadRoot reads and unwraps the result of Save.
func LoadRoot(ctx context.Context, path string, provider Provider, clusterID string) (Root, error) {
	file, err := readRootFile(path)
	if err != nil {
		return Root{}, fmt.Errorf("reading root key %s: %w", path, err)
	}
	if file.Cluster != clusterID {
		return Root{}, fmt.Errorf("reading root key %s: it belongs to cluster %q, but this node to %q", path, file.Cluster, clusterID)
	}
	if file.Provider != provider.Name() {
		return Root{}, fmt.Errorf("reading root key %s: it was wrapped by provider %q, but the configuration says %q", path, file.Provider, provider.Name())
	}
	plaintext, err := provider.Unwrap(ctx, file.Wrapped, rootPlace(provider, clusterID))
	if err != nil {
		return Root{}, fmt.Errorf("unwrapping root key %s with %s: %w", path, provider.Name(), err)
	}
	defer clear(plaintext)
	root, err := decodeRoot(plaintext)
	if err != nil {
		return Root{}, fmt.Errorf("reading root key %s: %w", path, err)
	}
	return root, nil
}

func readRootFile(path string) (rootFile, error) {
	var file rootFile
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRootFile+1))
	if err != nil {
		return file, err
	}
	err = file.decode(data)
	return file, err
}

func (file *rootFile) decode(data []byte) error {
	if len(data) > maxRootFile {
		return fmt.Errorf("it is longer than %d bytes", maxRootFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(file); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it is damaged: there is data after the end")
	}
	if file.Format != rootFileFormat {
		return fmt.Errorf("it has format %d, but this program reads format %d", file.Format, rootFileFormat)
	}
	return nil
}

func rootPlace(provider Provider, clusterID string) []byte {
	return encode(nil, "keyfob root file", clusterID, provider.Name())
}

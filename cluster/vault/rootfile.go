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

// rootFile is the wrapped root key as it lies on the disk. Cluster and provider
// are there to say what is wrong in words; both are bound to Wrapped as well.
type rootFile struct {
	Format   int    `json:"format"`
	Cluster  string `json:"cluster"`
	Provider string `json:"provider"`
	Wrapped  []byte `json:"wrapped"`
}

// Save wraps the root and writes it to path, at once or not at all. Saving it
// again with another provider is how the provider's key is rotated.
func (r Root) Save(ctx context.Context, path string, provider Provider, clusterID string) error {
	plaintext := r.encode()
	defer clear(plaintext)
	wrapped, err := provider.Wrap(ctx, plaintext, rootPlace(provider, clusterID))
	if err != nil {
		return fmt.Errorf("wrapping root key with %s: %w", provider.Name(), err)
	}
	data, err := json.MarshalIndent(rootFile{rootFileFormat, clusterID, provider.Name(), wrapped}, "", "  ")
	if err != nil {
		return fmt.Errorf("saving root key: %w", err)
	}
	if err := atomicfile.Write(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("saving root key: %w", err)
	}
	return nil
}

// LoadRoot reads what Save wrote.
func LoadRoot(ctx context.Context, path string, provider Provider, clusterID string) (Root, error) {
	file, err := readRootFile(path)
	if err != nil {
		return Root{}, fmt.Errorf("reading root key %s: %w", path, err)
	}
	if file.Cluster != clusterID {
		return Root{}, fmt.Errorf("reading root key %s: it is of cluster %q, this node of %q", path, file.Cluster, clusterID)
	}
	if file.Provider != provider.Name() {
		return Root{}, fmt.Errorf("reading root key %s: it was wrapped by %q, configured is %q", path, file.Provider, provider.Name())
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
		return errors.New("it is damaged: something follows the end")
	}
	if file.Format != rootFileFormat {
		return fmt.Errorf("it has format %d, this program reads %d", file.Format, rootFileFormat)
	}
	return nil
}

func rootPlace(provider Provider, clusterID string) []byte {
	return encode(nil, "keyfob root file", clusterID, provider.Name())
}

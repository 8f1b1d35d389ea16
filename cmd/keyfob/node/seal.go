package node

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"keyfob/cluster/vault"
)

// The seal providers.
const (
	sealKeyFile    = "keyfile"
	sealCredential = "credential"
	sealTransit    = "transit"
	sealPKCS11     = "pkcs11"
)

// SealConfig is the key that seals the root key.
type SealConfig struct {
	Provider   string        `yaml:"provider" enum:"keyfile,credential,transit,pkcs11" doc:"keyfile: a key of 32 bytes in a file; credential: the same key from LoadCredentialEncrypted of systemd, which a TPM can protect; transit: a key in Vault or OpenBao; pkcs11: a key in an HSM. Change it with keyfob cluster reseal"`
	KeyFile    string        `yaml:"keyfile" doc:"file for the provider keyfile; default: seal.key in the data directory, created by cluster init"`
	Credential string        `yaml:"credential" doc:"file name for the provider credential, in $CREDENTIALS_DIRECTORY; default keyfob-seal"`
	Transit    TransitConfig `yaml:"transit"`
	PKCS11     PKCS11Config  `yaml:"pkcs11"`
}

// TransitConfig is the Transit secrets engine of Vault or OpenBao.
type TransitConfig struct {
	Address      string `yaml:"address" doc:"https://host[:port] of the Vault or OpenBao server"`
	Namespace    string `yaml:"namespace" doc:"namespace of the engine; default: none"`
	Mount        string `yaml:"mount" doc:"path of the engine; default transit"`
	Key          string `yaml:"key" doc:"name of the key; its type must be able to encrypt and decrypt, such as aes256-gcm96"`
	CA           string `yaml:"ca" doc:"PEM file with the CAs of the server; default: those of the system"`
	TokenFile    string `yaml:"token_file" doc:"file with a token that may update MOUNT/encrypt/KEY and MOUNT/decrypt/KEY; read again for each use"`
	RoleID       string `yaml:"role_id" doc:"RoleID of an AppRole, in place of token_file"`
	SecretIDFile string `yaml:"secret_id_file" doc:"file with the SecretID of role_id"`
}

// PKCS11Config is a key in a PKCS #11 token.
type PKCS11Config struct {
	Program string `yaml:"program" doc:"path of the program keyfob-pkcs11; default /usr/lib/keyfob/keyfob-pkcs11"`
	Module  string `yaml:"module" doc:"path of the PKCS #11 library of the HSM"`
	Token   string `yaml:"token" doc:"label of the token"`
	Key     string `yaml:"key" doc:"label of the AES key in the token"`
	PINFile string `yaml:"pin_file" doc:"file with the PIN of the token's user"`
}

// sealFiles are the keys of files that the configured provider reads.
func (s *SealConfig) sealFiles() []string {
	switch s.Provider {
	case sealTransit:
		return []string{"seal.transit.ca", "seal.transit.token_file", "seal.transit.secret_id_file"}
	case sealPKCS11:
		return []string{"seal.pkcs11.program", "seal.pkcs11.module", "seal.pkcs11.pin_file"}
	}
	return nil
}

// complete sets what follows from other settings.
func (s *SealConfig) complete(data string) {
	byDefault := func(provider string, value *string, usual string) {
		if s.Provider == provider && *value == "" {
			*value = usual
		}
	}
	if data != "" {
		byDefault(sealKeyFile, &s.KeyFile, filepath.Join(data, "seal.key"))
	}
	byDefault(sealCredential, &s.Credential, "keyfob-seal")
	byDefault(sealTransit, &s.Transit.Mount, "transit")
	byDefault(sealPKCS11, &s.PKCS11.Program, "/usr/lib/keyfob/keyfob-pkcs11")
}

// problems are those of the provider that is configured, and settings of others.
func (s *SealConfig) problems() (all []problem) {
	need := func(key, value string) {
		if value == "" {
			all = append(all, problem{key, "is missing for this seal.provider"})
		}
	}
	switch s.Provider {
	case sealTransit:
		t := &s.Transit
		if u, err := url.Parse(t.Address); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			all = append(all, problem{"seal.transit.address", "want https://host[:port]"})
		}
		need("seal.transit.key", t.Key)
		if (t.TokenFile != "") == (t.RoleID != "") {
			all = append(all, problem{"seal.transit", "want token_file, or role_id and secret_id_file"})
		}
		if (t.RoleID != "") != (t.SecretIDFile != "") {
			all = append(all, problem{"seal.transit", "role_id and secret_id_file are set together"})
		}
	case sealPKCS11:
		need("seal.pkcs11.module", s.PKCS11.Module)
		need("seal.pkcs11.token", s.PKCS11.Token)
		need("seal.pkcs11.key", s.PKCS11.Key)
		need("seal.pkcs11.pin_file", s.PKCS11.PINFile)
	}
	if s.Provider != sealTransit && s.Transit != (TransitConfig{}) {
		all = append(all, problem{"seal.transit", "is set, but seal.provider is not transit"})
	}
	if s.Provider != sealPKCS11 && s.PKCS11 != (PKCS11Config{}) {
		all = append(all, problem{"seal.pkcs11", "is set, but seal.provider is not pkcs11"})
	}
	return all
}

// sealProvider returns the provider, or nil for the key file in the data directory.
func (e *program) sealProvider(c Config) (vault.Provider, error) {
	s := c.Seal
	switch s.Provider {
	case sealCredential:
		dir := e.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("seal.provider is credential, but CREDENTIALS_DIRECTORY is not set: set LoadCredentialEncrypted= in the systemd unit")
		}
		return vault.NewCredential(dir, s.Credential), nil
	case sealTransit:
		return vault.NewTransit(vault.TransitConfig{
			Address: s.Transit.Address, Namespace: s.Transit.Namespace, Mount: s.Transit.Mount, Key: s.Transit.Key, CAFile: s.Transit.CA,
			TokenFile: s.Transit.TokenFile, RoleID: s.Transit.RoleID, SecretIDFile: s.Transit.SecretIDFile,
		})
	case sealPKCS11:
		return vault.NewPKCS11(s.PKCS11.Program, vault.HSMKey{Module: s.PKCS11.Module, Token: s.PKCS11.Token, Label: s.PKCS11.Key, PINFile: s.PKCS11.PINFile}), nil
	}
	if s.KeyFile == filepath.Join(c.Data, "seal.key") {
		return nil, nil //nolint:nilnil // the node makes it
	}
	return vault.NewKeyFile(s.KeyFile), nil
}

// trySeal wraps and unwraps a value with the provider of a configuration that was
// checked. The provider of systemd is there only in the unit, and a key file may not
// exist yet.
func (e *program) trySeal(ctx context.Context, c Config) error {
	if c.Seal.Provider != sealTransit && c.Seal.Provider != sealPKCS11 {
		return nil
	}
	p, err := e.sealProvider(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return vault.Try(ctx, p)
}

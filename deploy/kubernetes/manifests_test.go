// Package kubernetes holds manifests, and this test holds them to Kubernetes's schemas, to
// what is known of good ones, and to the program.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	kustomize = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
	kubeScore = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"
)

type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args []string
					Env  []struct{ Name string }
				}
			}
		}
	}
}

func TestManifests(t *testing.T) {
	rendered := command(t, nil, "go", "run", kustomize, "build", ".")
	file := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("schema", func(t *testing.T) {
		validate := os.Getenv("KUBERNETES_VALIDATE")
		if validate == "" {
			t.Skip("KUBERNETES_VALIDATE names no kubernetes-validate (PyPI)")
		}
		command(t, nil, validate, "--strict", file)
		broken := strings.Replace(rendered, "readOnlyRootFilesystem", "readOnlyRoot", 1)
		if err := os.WriteFile(file+".broken.yaml", []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), validate, "--strict", file+".broken.yaml").CombinedOutput(); err == nil {
			t.Errorf("a manifest that does not fit passes: %s", out)
		}
	})
	t.Run("score", func(t *testing.T) {
		// Pods are spread by topologySpreadConstraints, which it does not look at.
		command(t, strings.NewReader(rendered), "go", "run", kubeScore, "score", "--exit-one-on-warning", "--ignore-test", "deployment-has-host-podantiaffinity", "-")
	})
	program := filepath.Join(t.TempDir(), "analyst")
	command(t, nil, "go", "-C", "../..", "build", "-o", program, "./cmd/analyst")
	known := command(t, nil, "git", "grep", "-hoE", `"[A-Z]+(_[A-Z]+)+"`, "--", "../../cmd/analyst", "../../models", ":!*_test.go")
	deployments := 0
	for in := yaml.NewDecoder(strings.NewReader(rendered)); ; {
		var m manifest
		if err := in.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		variable := func(name string) {
			if name != "GOMEMLIMIT" && !strings.Contains(known, `"`+name+`"`) {
				t.Errorf("%s: the program reads no %s", m.Metadata.Name, name)
			}
		}
		for name := range m.Data {
			variable(name)
		}
		if m.Kind != "Deployment" {
			continue
		}
		deployments++
		pod := m.Spec.Template.Spec
		grace := time.Duration(pod.Grace) * time.Second
		for _, c := range pod.Containers {
			for _, e := range c.Env {
				variable(e.Name)
			}
			command(t, nil, program, append(c.Args, "--help")...) // which comes after all flags were read
			if need := ending(t, command(t, nil, program, c.Args[0], "--help"), c.Args); grace <= need {
				t.Errorf("%s is killed after %v, and may take %v to end", m.Metadata.Name, grace, need)
			}
		}
	}
	if deployments != 2 {
		t.Errorf("%d deployments, want one that serves and one that works", deployments)
	}
}

// ending is how long a process may take to end: its notice, and its patience twice.
func ending(t *testing.T, help string, args []string) time.Duration {
	t.Helper()
	value := func(flag string) time.Duration {
		found := regexp.MustCompile(`--` + flag + `[ =](?:[A-Z]+ (?s:.*?)\(default )?([0-9a-z]+)`).FindStringSubmatch(strings.Join(args, " ") + "\n" + help)
		if found == nil {
			return 0
		}
		d, err := time.ParseDuration(found[1])
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return value("notice") + 2*value("drain")
}

// command runs a command that must succeed, and returns what it prints.
func command(t *testing.T, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = stdin
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v: %s%s", name, strings.Join(args, " "), err, out.Bytes(), stderr.Bytes())
	}
	return out.String()
}

package mysqltest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	dockerImage = "mysql:8.4"

	// dockerAnswer is how long an engine may take to say that it is there.
	dockerAnswer = 3 * time.Second
)

// inDocker finds a Docker engine, and makes sure that it has the image. The
// engine must be this machine's own: the data folder is mounted from here, and
// the server uses this machine's network.
func inDocker(ctx context.Context, progress io.Writer) (*Installation, error) {
	asking, cancel := context.WithTimeout(ctx, dockerAnswer)
	defer cancel()
	if err := exec.CommandContext(asking, "docker", "info").Run(); err != nil {
		return nil, fmt.Errorf("docker: no engine answers: %w", err)
	}
	if exec.CommandContext(ctx, "docker", "image", "inspect", dockerImage).Run() != nil {
		fmt.Fprintf(progress, "pulling the Docker image %s\n", dockerImage)
		if out, err := exec.CommandContext(ctx, "docker", "pull", "--quiet", dockerImage).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("docker: pull %s: %w: %s", dockerImage, err, strings.TrimSpace(string(out)))
		}
	}
	in := &Installation{Origin: "Docker image " + dockerImage, image: dockerImage}
	return in, in.check(ctx)
}

// dockerRun runs program of image as if it were installed here: as this user, on
// this machine's network, away from the image's own start script and options.
func dockerRun(image, program string, options ...string) []string {
	argv := []string{
		"docker", "run", "--rm", "--network=host",
		fmt.Sprintf("--user=%d:%d", os.Geteuid(), os.Getegid()),
		"--entrypoint=" + program,
	}
	return append(append(argv, options...), image, "--no-defaults")
}

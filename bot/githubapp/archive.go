package githubapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Archive writes the files of a commit, by its full SHA, to w: a .tar.gz laid
// out as hosts expect it, the same bytes each time. After an error, what was
// written is worth nothing.
//
// The files are those of GitHub's own archive: what the repository's
// .gitattributes leave out of archives (export-ignore) is left out, and what
// they have replaced (export-subst) is replaced.
func (r *Repo) Archive(ctx context.Context, sha string, w io.Writer) (Packed, error) {
	if err := checkSHA(sha); err != nil {
		return Packed{}, err
	}
	what := "archive " + sha
	link, err := r.archiveLink(ctx, what, sha)
	if err != nil {
		return Packed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	var p Packed
	body, err := r.app.download(ctx, link)
	if err == nil {
		defer body.Close()
		p, err = repack(body, w, sha, defaultArchiveLimits())
	}
	if err != nil {
		return Packed{}, fmt.Errorf("%s of %s: %w", what, r.full, err)
	}
	for _, note := range p.Notes {
		r.app.log.Warn("archive", "repository", r.full, "sha", sha, "note", note)
	}
	return p, nil
}

// archiveLink asks where the archive is. Its URL is a credential of its own,
// for a few minutes.
func (r *Repo) archiveLink(ctx context.Context, what, sha string) (*url.URL, error) {
	var link *url.URL
	err := r.do(ctx, checks.Read, what, needContents, func(ctx context.Context) error {
		req, err := r.client.API().NewRequest(http.MethodGet, "repos/"+r.owner+"/"+r.name+"/tarball/"+sha, nil)
		if err != nil {
			return err
		}
		resp, err := r.client.API().Client().Do(req.WithContext(ctx))
		if err != nil {
			return withoutURL(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusFound {
			link, err = resp.Location()
			return err
		}
		if err := github.CheckResponse(resp); err != nil {
			return err
		}
		return fmt.Errorf("GitHub answered %d and not where the archive is", resp.StatusCode)
	})
	if err != nil {
		return nil, err
	}
	if err := r.app.checkLink(link); err != nil {
		return nil, fmt.Errorf("%s of %s: %w", what, r.full, err)
	}
	return link, nil
}

// checkLink refuses a redirect to what is less safe than the API is.
func (a *App) checkLink(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != a.api.Scheme || u.Host == "" || u.User != nil {
		return fmt.Errorf("GitHub redirects to %.20q at %.100q, which is not followed", u.Scheme, u.Host)
	}
	return nil
}

// download begins a download from elsewhere, without a token.
func (a *App) download(ctx context.Context, link *url.URL) (io.ReadCloser, error) {
	c := http.Client{Transport: a.plain, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return a.checkLink(req.URL)
	}}
	for attempt := 1; ; attempt++ {
		body, retry, err := tryDownload(ctx, &c, link)
		if err == nil || !retry || attempt == archiveAttempts {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(archivePause):
		}
	}
}

func tryDownload(ctx context.Context, c *http.Client, link *url.URL) (body io.ReadCloser, retry bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return nil, false, withoutURL(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // it is compressed, and read as it is
	resp, err := c.Do(req)
	if err != nil {
		return nil, ctx.Err() == nil, fmt.Errorf("download from %s: %w", link.Host, withoutURL(err))
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		retry = resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests
		return nil, retry, fmt.Errorf("download from %s: it answered %d; try again", link.Host, resp.StatusCode)
	}
	return resp.Body, false, nil
}

// withoutURL is err without the address, which may hold a credential.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// What the course needs of JupyterLab and no setting offers: diffs in colour, file names that can be
// read, and no unsaved mark on a notebook that nobody has changed. Written by hand, so there is no build.

const STYLE = `
  #jp-left-stack { min-width: 300px; }
  .course-diff-new { color: var(--jp-success-color1, #2e8540); }
  .course-diff-old { color: var(--jp-error-color1, #d32f2f); }
  .course-diff-at { color: var(--jp-info-color1, #1976d2); }
`;
const KINDS = { '+': 'course-diff-new', '-': 'course-diff-old', '@': 'course-diff-at' };

function colour(code) {
  const lines = code.textContent.split(/(?<=\n)/);
  code.replaceChildren(
    ...lines.map(line => {
      const span = document.createElement('span');
      span.className = KINDS[line[0]] || 'course-diff-same';
      span.textContent = line;
      return span;
    })
  );
}

function colourAll() {
  document.querySelectorAll('code.language-diff:not(:has(> span))').forEach(colour);
}

// The kernel's answer completes a notebook's metadata, which JupyterLab takes for a change.
async function unmarked(widget) {
  const context = widget.context;
  if (!context || !context.sessionContext || !context.model || !context.model.cells) return;
  const cells = () => JSON.stringify(context.model.toJSON().cells);
  await context.ready;
  const before = cells();
  await context.sessionContext.ready;
  await context.sessionContext.session?.kernel?.info;
  await new Promise(done => setTimeout(done, 500)); // what listens to the same answer goes first
  if (context.model.dirty && cells() === before) context.model.dirty = false;
}

const plugin = {
  id: 'backend-by-experiment:page',
  autoStart: true,
  activate: app => {
    const style = document.createElement('style');
    style.textContent = STYLE;
    document.head.append(style);
    new MutationObserver(colourAll).observe(document.body, { childList: true, subtree: true });
    const seen = new WeakSet();
    app.shell.layoutModified.connect(() => {
      for (const widget of app.shell.widgets('main')) {
        if (!seen.has(widget)) {
          seen.add(widget);
          unmarked(widget);
        }
      }
    });
  }
};

window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB['backend-by-experiment'] = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin })
};

// What the course needs of JupyterLab and no setting offers: diffs in colour, file names that can be
// read, a word on a missing name, pictures that a screen reader can read, and no unsaved mark on a notebook that nobody has changed. Written by hand, so there is no build.

const STYLE = `
  body[data-jp-theme-light="false"] img[data-course-picture="yes"] { filter: invert(1) hue-rotate(180deg); }
  #jp-left-stack { min-width: 300px; }
  .course-diff-new { color: var(--jp-success-color1, #2e8540); }
  .course-diff-old { color: var(--jp-error-color1, #d32f2f); }
  .course-help { padding: 4px 8px; font-weight: bold; }
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

// After a restart of the kernel, or in a cell that was run first, a name of the cells above is missing.
function help(error) {
  if (!/NameError: name/.test(error.textContent)) return; // or not written yet: its text comes later
  const line = document.createElement('div');
  line.className = 'course-help';
  line.textContent =
    'A name of the cells above? After a restart: Run > Run All Above Selected Cell.';
  error.append(line);
}

// Pictures say in their metadata what they show; those that do are ours, white, and inverted on dark.
function describe(app) {
  if (!document.querySelector('.jp-OutputArea-child img:not([data-course-picture])')) return;
  for (const widget of app.shell.widgets('main')) {
    for (const cell of (widget.content && widget.content.widgets) || []) {
      const outputs = cell.model && cell.model.outputs;
      if (!outputs) continue;
      cell.node.querySelectorAll('.jp-OutputArea-child').forEach((child, index) => {
        const image = child.querySelector('img:not([data-course-picture])');
        if (!image) return;
        const metadata = index < outputs.length ? outputs.get(index).metadata['image/png'] : null;
        image.dataset.coursePicture = metadata && metadata.alt ? 'yes' : 'no';
        if (metadata && metadata.alt) image.alt = metadata.alt;
      });
    }
  }
}

function onChange(app) {
  describe(app);
  document.querySelectorAll('code.language-diff:not(:has(> span))').forEach(colour);
  document
    .querySelectorAll('.jp-OutputArea-output:is([data-mime-type$="jupyter.error"], [data-mime-type$="jupyter.stderr"]):not(:has(> .course-help))')
    .forEach(help);
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
    new MutationObserver(() => onChange(app)).observe(document.body, { childList: true, subtree: true });
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

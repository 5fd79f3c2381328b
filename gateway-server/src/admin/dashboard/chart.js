/** A line of the last ten minutes, or of the last hour. */

const SVG = 'http://www.w3.org/2000/svg';
const [SHORT, LONG] = [600, 3600];
/** The pause between samples that are older than {@link SHORT}, in milliseconds. */
const SPARSE = 10_000;
const [WIDTH, HEIGHT] = [600, 56];

let shown = SHORT;

/** Whether charts show the last hour, and not the last ten minutes only. */
export const showsHour = () => shown === LONG;
export const showHour = (isHour) => {
    shown = isHour ? LONG : SHORT;
};

export class Chart {
    /** The samples of the last ten minutes, and those before, of which fewer are kept. */
    #samples = [];
    #older = [];
    #line = element('path', {class: 'line'});
    #area = element('path', {class: 'area'});

    constructor(parent, label) {
        const svg = element('svg', {
            class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label,
        });
        svg.append(element('path', {class: 'base', d: `M0 ${HEIGHT - 0.5}H${WIDTH}`}), this.#area, this.#line);
        parent.append(svg);
    }

    get most() {
        return Math.max(0, ...this.#visible(performance.now()).map(([, value]) => value ?? 0));
    }

    /** Null where nothing is known. */
    add(at, value) {
        this.#samples.push([at, value]);
        while (this.#samples[0][0] < at - SHORT * 1000) {
            this.#keep(this.#samples.shift());
        }
        while (this.#older.length > 0 && this.#older[0][0] < at - LONG * 1000) {
            this.#older.shift();
        }
        this.#draw(at);
    }

    /** Takes what was before the first sample, the oldest first. */
    precede(samples) {
        this.#older.unshift(...samples);
    }

    #keep(sample) {
        const last = this.#older.at(-1);
        // A gap is kept whole, as a line over it would be made up.
        if (last === undefined || sample[0] - last[0] >= SPARSE || (sample[1] === null) !== (last[1] === null)) {
            this.#older.push(sample);
        }
    }

    #visible(now) {
        const from = now - shown * 1000;
        return [...this.#older.filter(([at]) => at >= from), ...this.#samples];
    }

    #draw(now) {
        const visible = this.#visible(now);
        const most = Math.max(0, ...visible.map(([, value]) => value ?? 0)) || 1;
        const x = (at) => (WIDTH - (now - at) / 1000 * WIDTH / shown).toFixed(1);
        const y = (value) => (HEIGHT - 2 - value / most * (HEIGHT - 6)).toFixed(1);
        let [line, area, from] = ['', '', null];
        const end = (at) => {
            area += from === null ? '' : `L${at} ${HEIGHT}L${from} ${HEIGHT}Z`;
            from = null;
        };
        let last = null;
        for (const [at, value] of visible) {
            if (value === null) {
                end(last);
                continue;
            }
            last = x(at);
            const point = `${from === null ? 'M' : 'L'}${last} ${y(value)}`;
            from ??= last;
            line += point;
            area += point;
        }
        end(last);
        this.#line.setAttribute('d', line);
        this.#area.setAttribute('d', area);
    }
}

function element(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [attribute, value] of Object.entries(attributes)) {
        made.setAttribute(attribute, value);
    }
    return made;
}

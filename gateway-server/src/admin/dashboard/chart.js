/** A line of the last ten minutes. */

const SVG = 'http://www.w3.org/2000/svg';
const SECONDS = 600;
const [WIDTH, HEIGHT] = [600, 56];

export class Chart {
    #samples = [];
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
        return Math.max(0, ...this.#samples.map(([, value]) => value ?? 0));
    }

    /** Null where nothing is known. */
    add(at, value) {
        this.#samples.push([at, value]);
        while (this.#samples[0][0] < at - SECONDS * 1000) {
            this.#samples.shift();
        }
        this.#draw(at);
    }

    #draw(now) {
        const most = this.most || 1;
        const x = (at) => (WIDTH - (now - at) / 1000 * WIDTH / SECONDS).toFixed(1);
        const y = (value) => (HEIGHT - 2 - value / most * (HEIGHT - 6)).toFixed(1);
        let [line, area, from] = ['', '', null];
        const end = (at) => {
            area += from === null ? '' : `L${at} ${HEIGHT}L${from} ${HEIGHT}Z`;
            from = null;
        };
        let last = null;
        for (const [at, value] of this.#samples) {
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

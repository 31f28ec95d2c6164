//! Draws one plot as SVG.
//!
//! The colours here are placeholders: the style sheet selects lines by these values and gives them the colours of the theme.
//! Plotters rounds to whole pixels, so the drawing has twice as many pixels as its width on a screen.

use super::{
    PhaseSpan,
    scale::{Scale, time_label, time_ticks},
};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// One line of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// The position of its colour in [`COLOURS`].
    pub colour: usize,
    /// The points: seconds from the run's start, and values, where `None` is a gap.
    pub points: Vec<(f64, Option<f64>)>,
}

impl Line {
    /// Returns the last value, if there is any.
    pub fn last(&self) -> Option<f64> {
        self.points.iter().rev().find_map(|(_, value)| *value)
    }
}

/// Okabe and Ito's palette, which colour-blind readers can distinguish; the last colour is for all other series.
/// Source: <https://jfly.uni-koeln.de/color/>
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(119, 119, 119),
];

const TEXT: RGBColor = RGBColor(51, 51, 51);
const FAINT: RGBColor = RGBColor(102, 102, 102);
const GRID: RGBColor = RGBColor(221, 221, 221);
const SHADE: RGBColor = RGBColor(238, 238, 238);
const LIMIT: RGBColor = RGBColor(1, 1, 1);

/// The width and height of the drawing, and the frame of the plot in it. The names of the phases are above the frame.
const SIZE: (u32, u32) = (960, 460);
const LEFT: i32 = 126;
const RIGHT: i32 = 948;
const TOP: i32 = 44;
const BASE: i32 = 412;

const FONT: i32 = 26;
const SMALL: i32 = 22;
/// The approximate ratio of a letter's width to its height; the font of the reader is not known.
const LETTER: f64 = 0.58;

type Error = DrawingAreaErrorKind<std::io::Error>;

/// Draws lines over the phases, from the run's start to `end` seconds. A limit is drawn as a horizontal line.
///
/// # Errors
/// If plotters cannot draw the chart.
pub fn svg(
    scale: &Scale,
    lines: &[Line],
    limit: Option<f64>,
    phases: &[PhaseSpan],
    end: f64,
) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, scale, lines, limit, phases, end).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(
    text: &mut String,
    scale: &Scale,
    lines: &[Line],
    limit: Option<f64>,
    phases: &[PhaseSpan],
    end: f64,
) -> Result<(), Error> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    let frame = Frame { scale, end };
    bands(&root, &frame, phases)?;
    axes(&root, &frame)?;
    if let Some(limit) = limit {
        let y = frame.y(scale.position(limit));
        root.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], LIMIT.stroke_width(3)))?;
    }
    for line in lines {
        let colour = COLOURS[line.colour];
        for stretch in line.points.split(|(_, value)| value.is_none()) {
            let point =
                |&(at, value): &(f64, Option<f64>)| Some((frame.x(at), frame.y(scale.position(value?))));
            let points: Vec<_> = stretch.iter().filter_map(point).collect();
            match points[..] {
                [] => {}
                // A line of a single point would be invisible, so it is drawn as a dot.
                [point] => root.draw(&Circle::new(point, 4, colour.filled()))?,
                _ => root.draw(&PathElement::new(points, colour.stroke_width(4)))?,
            }
        }
    }
    if lines.iter().all(|line| line.last().is_none()) {
        let style = TextStyle::from(font(FONT)).color(&FAINT).pos(Pos::new(HPos::Center, VPos::Center));
        root.draw(&Text::new("no data", (i32::midpoint(LEFT, RIGHT), i32::midpoint(TOP, BASE)), style))?;
    }
    root.present()
}

/// The positions of the parts of the drawing.
struct Frame<'a> {
    scale: &'a Scale,
    end: f64,
}

impl Frame<'_> {
    fn x(&self, seconds: f64) -> i32 {
        LEFT + (f64::from(RIGHT - LEFT) * (seconds / self.end).min(1.0)).round() as i32
    }

    fn y(&self, position: f64) -> i32 {
        let Scale { low, high, .. } = self.scale;
        BASE - (f64::from(BASE - TOP) * (position - low) / (high - low)).round() as i32
    }
}

/// Draws a horizontal line at each tick, with its label.
fn axes(root: &DrawingArea<SVGBackend<'_>, Shift>, frame: &Frame) -> Result<(), Error> {
    let style = TextStyle::from(font(FONT)).color(&TEXT);
    for &tick in &frame.scale.ticks {
        let y = frame.y(tick);
        root.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], GRID.stroke_width(2)))?;
        // The lowest label is moved up, because it would touch the labels of the time axis.
        let vertical = if y == BASE { VPos::Bottom } else { VPos::Center };
        let style = style.clone().pos(Pos::new(HPos::Right, vertical));
        root.draw(&Text::new(frame.scale.label(tick), (LEFT - 10, y), style))?;
    }
    for tick in time_ticks(frame.end) {
        let x = frame.x(tick);
        root.draw(&PathElement::new([(x, BASE), (x, BASE + 8)], GRID.stroke_width(2)))?;
        // Labels at the ends are moved inwards, because they would reach beyond the drawing.
        let at_end = RIGHT - x < 2 * FONT;
        let style = style.clone().pos(Pos::new(if at_end { HPos::Right } else { HPos::Center }, VPos::Top));
        root.draw(&Text::new(time_label(tick), (if at_end { RIGHT } else { x }, BASE + 12), style))?;
    }
    Ok(())
}

/// Shades every other phase and writes the names of all, vertically where a phase is too narrow.
fn bands(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    frame: &Frame,
    phases: &[PhaseSpan],
) -> Result<(), Error> {
    for (at, phase) in phases.iter().enumerate() {
        let (from, to) = (frame.x(phase.start.as_secs_f64()), frame.x(phase.end.as_secs_f64()));
        if at % 2 == 0 && from < to {
            root.draw(&Rectangle::new([(from, 0), (to, BASE)], SHADE.filled()))?;
        }
        let length = phase.name.chars().count() as f64 * f64::from(SMALL) * LETTER;
        if length < f64::from(to - from) {
            let style = TextStyle::from(font(SMALL)).color(&FAINT).pos(Pos::new(HPos::Center, VPos::Top));
            root.draw(&Text::new(phase.name.clone(), (i32::midpoint(from, to), 6), style))?;
        } else if to - from > SMALL {
            let font = font(SMALL).transform(FontTransform::Rotate90);
            let style = TextStyle::from(font).color(&FAINT).pos(Pos::new(HPos::Left, VPos::Bottom));
            root.draw(&Text::new(phase.name.clone(), (from + 2, 6), style))?;
        }
    }
    Ok(())
}

/// Converts a font size: plotters expects the height of a line, SVG that of the letters.
fn font<'a>(size: i32) -> FontDesc<'a> {
    ("sans-serif", f64::from(size) * 1.24).into_font()
}

"""The page of a report in Chromium: sorting, filtering, its figures, its sizes, and what it loads."""

import csv
import itertools
import json

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from docs.report import PATIENCE, resize, start_chromium, wait_for_charts

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    started = start_chromium()
    yield started
    started.quit()


@pytest.fixture
def page(browser, sweep):
    """The page, opened from the disk in a wide light window."""
    resize(browser, 1440, "light")
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get((sweep / "report/index.html").as_uri())
    wait_for_charts(browser)
    return browser


def heading(page, title):
    (button,) = [b for b in page.find_elements(By.CSS_SELECTOR, "#rows th button") if b.text == title]
    return button


def column(page, title):
    """Return the texts of a column in the order of the rows that are shown."""
    titles = [button.text for button in page.find_elements(By.CSS_SELECTOR, "#rows th button")]
    rows = page.find_elements(By.CSS_SELECTOR, "#rows tbody tr")
    index = titles.index(title)
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[index].text for row in rows if row.is_displayed()]


def read_rows(sweep):
    with (sweep / "report/rows.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_table_has_the_values_of_the_csv(page, sweep):
    rows = read_rows(sweep)
    assert column(page, "row") == [row["row"] for row in rows]
    for title, key, scale, digits in (
        ("top-1 in %", "top1", 100, 2),
        ("loss", "loss", 1, 4),
        ("calibration error in %", "ece", 100, 2),
        ("images/s", "images_per_second", 1, 1),
    ):
        means = [scale * float(row[f"{key}_mean"]) for row in rows]
        deviations = [scale * float(row[f"{key}_deviation"]) for row in rows]
        expected = [
            f"{mean:.{digits}f} ± {deviation:.{digits}f}"
            for mean, deviation in zip(means, deviations, strict=True)
        ]
        assert column(page, title) == expected
    assert column(page, "parameters") == [f"{int(row['params']):,}" for row in rows]
    assert column(page, "failed") == [row["failed"] for row in rows]


def test_a_heading_sorts_by_mouse_and_by_keyboard(page, sweep):
    rows = read_rows(sweep)
    down = [row["row"] for row in sorted(rows, key=lambda row: -float(row["top1_mean"]))]
    button = heading(page, "top-1 in %")
    button.click()
    assert column(page, "row") == down
    head = button.find_element(By.XPATH, "..")
    assert head.get_attribute("aria-sort") == "descending"
    button.send_keys(Keys.ENTER)
    assert column(page, "row") == down[::-1]
    assert head.get_attribute("aria-sort") == "ascending"
    heading(page, "row").click()
    assert column(page, "row") == sorted(down)
    assert head.get_attribute("aria-sort") == "none"


def test_an_empty_cell_sorts_last(page):
    """The reference has no difference to itself."""
    for _ in range(2):
        heading(page, "points against both").click()
        assert column(page, "row")[-1] == "both"


def test_the_filter_searches_names_and_notes(page):
    search = page.find_element(By.ID, "filter")
    shown = page.find_element(By.ID, "shown")
    search.send_keys("MAIN head")
    assert column(page, "row") == ["no_dropout"]
    assert shown.text == "1 of 3 rows"
    search.send_keys(" nothing")
    assert column(page, "row") == []
    search.clear()
    search.send_keys(" ")
    assert shown.text == "3 of 3 rows"


def test_a_choice_changes_the_chart(page):
    choice = Select(page.find_element(By.ID, "choice-curves"))
    labels = [option.text for option in choice.options]
    assert "training loss, auxiliary head 4a" in labels
    choice.select_by_visible_text("training loss, auxiliary head 4a")

    def title(_):
        axis = page.find_elements(By.CSS_SELECTOR, "#plot-curves .ytitle")
        return axis and axis[0].get_attribute("textContent") == "training loss, auxiliary head 4a"

    WebDriverWait(page, PATIENCE).until(title)


def test_hovering_a_curve_shows_its_value(page):
    plot = page.find_element(By.ID, "plot-curves")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    webdriver.ActionChains(page).move_to_element(plot).perform()
    WebDriverWait(page, PATIENCE).until(lambda _: plot.find_elements(By.CSS_SELECTOR, ".hoverlayer .legend"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_overflows_and_texts_have_contrast(page, width, scheme):
    resize(page, width, scheme)
    for details in page.find_elements(By.CSS_SELECTOR, "details"):
        page.execute_script("arguments[0].open = true", details)

    def fits(_):
        return page.execute_script(
            "return document.documentElement.scrollWidth <= innerWidth && "
            "[...document.querySelectorAll('.plot .main-svg')].every("
            "(svg) => svg.getBoundingClientRect().right <= innerWidth + 1)"
        )

    WebDriverWait(page, PATIENCE).until(fits)

    def colors(_):
        ground, text, tick = page.execute_script(
            "const style = getComputedStyle(document.body);"
            "const tick = document.querySelector('#plot-curves .xtick text');"
            "return [style.backgroundColor, style.color, getComputedStyle(tick).fill]"
        )
        is_dark = brightness(ground) < 0.2
        return (
            is_dark == (scheme == "dark")
            and text == tick
            and abs(brightness(ground) - brightness(text)) > 0.6
        )

    WebDriverWait(page, PATIENCE).until(colors)


def brightness(color: str) -> float:
    return sum(map(int, color[color.index("(") + 1 : -1].split(",")[:3])) / (3 * 255)


def test_sections_do_not_overlap(page):
    for width in (390, 1440):
        resize(page, width, "light")
        tops = page.execute_script(
            "return [...document.querySelectorAll('main > section')].map((section) => {"
            "const box = section.getBoundingClientRect(); return [box.top, box.bottom]; })"
        )
        for (_, bottom), (top, _) in itertools.pairwise(tops):
            assert bottom <= top + 0.5


def test_the_page_loads_nothing_else_and_has_no_error(page):
    page.execute_script("window.scrollTo(0, document.body.scrollHeight)")
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert requests
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "blob"}
    assert len([url for url in requests if url.startswith("file:")]) == 1
    assert page.get_log("browser") == []


def test_names_from_the_data_make_no_element(page):
    assert page.find_elements(By.XPATH, "//b") == []
    texts = [option.text for option in page.find_elements(By.CSS_SELECTOR, "#plot-classes .xtick text")]
    assert "<b>dog</b>" in texts

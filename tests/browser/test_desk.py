"""The 360 page in a real browser: readable, right to left where it must be, fresh by itself, inert to hostile data."""

import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from connectors.serve.keys import ViewKeys, profile_json, record_json
from tests.peers.gateway import NODE_KEY, Door, gateway
from tests.peers.people import hostile, profile, tied

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

SARA, HOSTILE = f"{1:032x}", f"{2:032x}"


class Shop:
    """A gateway and a view with people in it."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.redis = redis.Redis.from_url(door.redis)
        self.keys = ViewKeys(door.prefix)

    def put(self, view: dict[str, Any]) -> None:
        self.redis.set(self.keys.profile(view["customer"]), profile_json(view))


@pytest.fixture(scope="module")
def shop(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("desk")) as door:
        found = Shop(door)
        found.put(profile(1))
        found.put(hostile(2))
        yield found
        found.redis.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1280,1100",
        "--lang=en",
    ):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def agent(shop: Shop, chromium: webdriver.Chrome) -> webdriver.Chrome:
    """A browser whose agent has signed in by hand; Sara is as she was."""
    shop.put(profile(1))
    chromium.get(shop.door.url + "/desk/login")
    chromium.delete_all_cookies()
    chromium.get(shop.door.url + "/desk?lang=en")
    chromium.find_element(By.ID, "key").send_keys(shop.door.keys["agent"])
    chromium.find_element(By.CSS_SELECTOR, "form.login button").click()
    WebDriverWait(chromium, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "form.find"))
    _console(chromium)
    return chromium


def _console(driver: webdriver.Chrome) -> list[dict[str, Any]]:
    """Return what the browser wrote to its console since the last call: violations of the policy are there."""
    found: list[dict[str, Any]] = driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's own
    return found


def _text(driver: webdriver.Chrome, selector: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, selector).text


def test_the_first_three_seconds(shop: Shop, agent: webdriver.Chrome) -> None:
    """Who, mood, risk, what to do and what is going on: above the fold, in words."""
    agent.get(f"{shop.door.url}/desk/customers/{SARA}?lang=en&tz=Asia/Tehran")
    assert "سارا محمدی" in _text(agent, "h1")
    answers = _text(agent, ".answers")
    assert all(word in answers for word in ("Angry", "High", "71%", "Complain", "148,200,000 IRR"))
    assert "Listen first" in _text(agent, ".do")
    assert "Hold back" in _text(agent, ".do")
    assert "because a complaint is open" in _text(agent, ".do")
    now = _text(agent, '[data-part="now"]')
    assert all(word in now for word in ("Open ticket T-77", "delivery", "SKU-881", "6,370,000 IRR"))
    fold = agent.execute_script("return window.innerHeight")
    for part in ("who", "answers", "do", "now"):
        box = agent.execute_script(
            f"return document.querySelector('[data-part=\"{part}\"]').getBoundingClientRect().bottom"
        )
        assert box < fold
    assert agent.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    ("language", "direction", "words"),
    [
        ("fa", "rtl", ("خشمگین", "۷۱٪", "۱۴۸٬۲۰۰٬۰۰۰ ریال", "تیکت باز T-77")),
        ("ar", "rtl", ("غاضب", "٧١٪", "١٤٨٬٢٠٠٬٠٠٠", "تذكرة مفتوحة T-77")),
        ("en", "ltr", ("Angry", "71%", "148,200,000 IRR", "Open ticket T-77")),
    ],
)
def test_languages(shop: Shop, agent: webdriver.Chrome, language: str, direction: str, words: tuple[str, ...]) -> None:
    """Words, digits and direction; the choice is remembered."""
    agent.get(f"{shop.door.url}/desk/customers/{SARA}?lang={language}")
    html = agent.find_element(By.TAG_NAME, "html")
    assert (html.get_attribute("dir"), html.get_attribute("lang")) == (direction, language)
    body = _text(agent, "body")
    assert [word for word in words if word not in body] == []
    agent.get(f"{shop.door.url}/desk/customers/{SARA}")
    assert agent.find_element(By.TAG_NAME, "html").get_attribute("lang") == language


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Same household as سارا محمدی", "Has referred سارا محمدی", "Same company as very many: not counted")),
        ("fa", ("هم‌خانه با سارا محمدی", "معرفی کرده: سارا محمدی", "افراد بسیار: به حساب نمی‌آید")),
        ("ar", ("من أسرة سارا محمدی", "أحال سارا محمدی", "كثيرون جدًا: لا يُحتسب")),
    ],
)
def test_whom_she_is_related_to(shop: Shop, agent: webdriver.Chrome, language: str, words: tuple[str, ...]) -> None:
    """By name, with a way to their page and what says so; nobody of whom there is no record (any more)."""

    def relation(kind: str, other: bytes, direction: str = "both", **more: Any) -> dict[str, Any]:
        told = {"kind": kind, "direction": direction, "customer": other, "signal_id": "s", "source": "crm"}
        return {**told, "at_ms": 1_790_000_000_000, "crowded": False, **more}

    home, mate, gone = (number.to_bytes(16, "big") for number in (21, 22, 23))
    relations = [
        relation("household", mate),
        relation("referred_by", mate, "in"),
        relation("household", gone),
        relation("account", b"", crowded=True),
    ]
    shop.put(profile(22))
    shop.put(profile(21, relations=relations))
    agent.get(f"{shop.door.url}/desk/customers/{home.hex()}?lang={language}")
    told = "".join(c for c in _text(agent, '[data-part="related"]') if c not in "\u2066\u2068\u2069")
    assert [word for word in words if word not in told] == []
    # One direction for the line: within a <bdi> that begins with CRM a Persian day is torn from its month.
    assert not agent.find_elements(By.CSS_SELECTOR, '[data-part="related"] small bdi')
    ways = agent.find_elements(By.CSS_SELECTOR, '[data-part="related"] a')
    assert [str(way.get_attribute("href")).rsplit("/", 1)[1] for way in ways] == [mate.hex()] * 2
    assert agent.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    if folder := os.environ.get("SADA_SCREENSHOTS"):
        agent.save_screenshot(f"{folder}/related-{language}.png")
    ways[0].click()
    WebDriverWait(agent, 5).until(lambda page: page.current_url.endswith(mate.hex()))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Lately", "as of", "30 d", "Spent", "6,370,000 IRR", "All signals", "151", "Next year, expected",
                "by turnover", "80%", "25%", "Suspicious: nearly all is sent back")),
        ("fa", ("این روزها", "۳۰ روز", "۶٬۳۷۰٬۰۰۰ ریال", "۱۵۱", "سال آینده", "۸۰٪", "۲۵٪", "تقریباً همه را پس می‌دهد")),
        ("ar", ("مؤخرًا", "٣٠ يوم", "٦٬٣٧٠٬٠٠٠", "١٥١", "العام القادم", "٨٠٪", "٢٥٪", "يعيد كل شيء تقريبًا")),
    ],
)  # fmt: skip
def test_lately_worth_and_quality(shop: Shop, agent: webdriver.Chrome, language: str, words: tuple[str, ...]) -> None:
    """Rolling windows, the year to come, why suspected, how good the record is; nothing where nothing is known."""
    flags = {**profile(1)["flags"], "suspicious": True, "suspicions": ["returns"]}
    shop.put(profile(7, flags=flags))
    agent.get(f"{shop.door.url}/desk/customers/{(7).to_bytes(16, 'big').hex()}?lang={language}")
    told = "".join(c for c in _text(agent, "main") if c not in "\u2066\u2068\u2069")
    assert [word for word in words if word not in told] == []
    rows = agent.find_elements(By.CSS_SELECTOR, ".lately tbody tr")
    assert len(rows) == 7
    assert rows[1].text.count("–") == 1  # of orders, none within a day
    assert agent.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    history = {**profile(1)["history"], "windows": {}, "channel_windows": {}}
    value = {**profile(1)["value"], "spent_windows": dict.fromkeys(("days_1", "days_7", "days_30", "days_90"), 0)}
    shop.put(profile(8, history=history, value={**value, "lifetime_minor": None}))
    agent.get(f"{shop.door.url}/desk/customers/{(8).to_bytes(16, 'big').hex()}?lang=en")
    assert not agent.find_elements(By.CSS_SELECTOR, '[data-part="lately"], .suspected')
    assert "expected" not in _text(agent, "main")


def test_the_page_stays_fresh_without_flicker(shop: Shop, agent: webdriver.Chrome) -> None:
    """A new mood arrives by itself; parts that did not change are not touched."""
    calm = {**profile(1)["flags"], "mood": 0.3, "complained": False}
    agent.get(f"{shop.door.url}/desk/customers/{SARA}?lang=en")
    agent.execute_script("document.querySelector('[data-part=\"traits\"]').mark = 'same'")
    shop.put(profile(1, flags=calm))
    WebDriverWait(agent, 8).until(lambda d: "Content" in _text(d, ".answers"))
    assert agent.execute_script("return document.querySelector('[data-part=\"traits\"]').mark") == "same"
    assert _text(agent, "#state") == "live"


def test_hostile_data_is_inert(shop: Shop, agent: webdriver.Chrome) -> None:
    """Every field an attack, in every language: no dialog, no script, no violation of the policy, no broken layout."""
    for language in ("en", "fa", "ar"):
        agent.get(f"{shop.door.url}/desk/customers/{HOSTILE}?lang={language}")
        time.sleep(0.3)
        with pytest.raises(NoAlertPresentException):
            _ = agent.switch_to.alert.text
        assert agent.find_elements(By.CSS_SELECTOR, "main script, main iframe, main img, main svg:not(.graph)") == []
        assert agent.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        source = agent.page_source
        assert "49{% raw" not in source
        assert not any(mark in source for mark in "\u202e\u202d\x00\x1b")
    time.sleep(2.2)  # and after the page has refreshed itself
    complaints = [entry for entry in _console(agent) if "favicon" not in entry["message"]]
    assert complaints == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "Why is this one person?",
                "written as Sara@Example.COM",
                "operator",
                "has a new owner",
                "too many of",
                "not kept: Karaj",
            ),
        ),
        ("fa", ("چرا این یک نفر است؟", "نوشته‌شده به شکل Sara@Example.COM", "اپراتور", "has a new owner", "معلق")),
        ("ar", ("لماذا هذا شخص واحد؟", "كُتب Sara@Example.COM", "مشغّل", "has a new owner", "معلّق")),
    ],
)
def test_why_this_is_one_person(shop: Shop, agent: webdriver.Chrome, language: str, words: tuple[str, ...]) -> None:
    """Behind a fold that stays open while the page refreshes: picture, members, refusals, story, and who ruled why."""
    shop.put(tied(1))
    ruling = {"id": "r1", "kind": "split", "by": "maryam", "reason": "the number has a new owner, ticket 4711"}
    shop.redis.hset(shop.keys.ruling("r1"), "ruling", record_json(ruling).decode())
    agent.get(f"{shop.door.url}/desk/customers/{SARA}?lang={language}")
    assert "sara@example.com" not in _text(agent, "main")
    agent.find_element(By.CSS_SELECTOR, "#why summary").click()
    told = "".join(c for c in _text(agent, "#why") if c not in "\u2066\u2068\u2069")
    assert [word for word in words if word not in told] == []
    assert "maryam" in told
    assert len(agent.find_elements(By.CSS_SELECTOR, ".graph circle")) == 5
    assert len(agent.find_elements(By.CSS_SELECTOR, ".graph text.tie")) == 4
    assert len(agent.find_elements(By.CSS_SELECTOR, ".graph circle.suspended")) == 1
    assert agent.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    details = agent.find_elements(By.CSS_SELECTOR, "dd small bdi")
    assert {detail.get_attribute("dir") for detail in details} == {"ltr" if language == "en" else "rtl"}
    overlaps = agent.execute_script(_OVERLAPS)
    assert overlaps == []
    agent.execute_script("document.querySelector('[data-part=\"why\"]').mark = 'same'")
    calm = {**profile(1)["flags"], "mood": 0.3, "complained": False}
    shop.put({**tied(1), "flags": calm, "refusals": []})
    WebDriverWait(agent, 8).until(lambda d: not d.find_elements(By.CSS_SELECTOR, '[data-list="refusals"]'))
    assert agent.execute_script("return document.getElementById('why').open")
    assert [entry for entry in _console(agent) if "favicon" not in entry["message"]] == []


# Texts of the picture that lie on each other.
_OVERLAPS = """
const boxes = [...document.querySelectorAll('.graph text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
const found = [];
boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
  const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (x > 1 && y > 3) found.push(one + ' / ' + other);
}));
return found;
"""


def test_no_script_inside_would_run(shop: Shop, agent: webdriver.Chrome) -> None:
    """The policy itself holds: even a script that got into the page is refused."""
    agent.get(f"{shop.door.url}/desk/customers/{SARA}")
    agent.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s);"
        "const i = document.createElement('img'); i.setAttribute('onerror', 'window.owned = 2');"
        "i.src = 'x:'; document.body.append(i);"
    )
    time.sleep(0.3)
    assert agent.execute_script("return window.owned") is None
    assert any("Content Security Policy" in entry["message"] for entry in _console(agent))


@pytest.mark.parametrize("text", ["sara@example.com", "u-1042", "+98 912 345 6789", SARA])
def test_search(shop: Shop, agent: webdriver.Chrome, text: str) -> None:
    """By any identifier, as people write it; it is not in the address afterwards."""
    from schemas.identifiers import Hasher, normalise

    hasher = Hasher(bytes.fromhex(NODE_KEY))
    for kind, value in (("email", "sara@example.com"), ("user_id", "u-1042"), ("phone", "+989123456789")):
        shop.redis.set(shop.keys.node(hasher.node(normalise(kind, value))), SARA)
    agent.get(shop.door.url + "/desk?lang=en")
    field = agent.find_element(By.NAME, "q")
    field.send_keys(text)
    field.submit()
    WebDriverWait(agent, 5).until(lambda d: "سارا" in _text(d, "h1"))
    assert agent.current_url == f"{shop.door.url}/desk/customers/{SARA}"


def test_nobody_found(shop: Shop, agent: webdriver.Chrome) -> None:
    """Said in words."""
    agent.get(shop.door.url + "/desk?lang=en")
    field = agent.find_element(By.NAME, "q")
    field.send_keys("<script>alert(1)</script>@nobody.example")
    field.submit()
    WebDriverWait(agent, 5).until(lambda d: "Nobody is known" in _text(d, "main"))


def test_the_cookie_is_out_of_reach(shop: Shop, agent: webdriver.Chrome) -> None:
    """HttpOnly, SameSite=Strict, and it ends with sign-out."""
    agent.get(shop.door.url + "/desk")
    cookie = agent.get_cookie("sada_desk")
    assert cookie is not None
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/desk")
    assert "sada_desk" not in agent.execute_script("return document.cookie")
    agent.find_element(By.CSS_SELECTOR, "nav form button").click()
    WebDriverWait(agent, 5).until(lambda d: d.find_elements(By.ID, "key"))
    assert agent.get_cookie("sada_desk") is None


@pytest.mark.parametrize("path", ["/desk", f"/desk/customers/{SARA}", f"/desk/customers/{SARA}/live"])
def test_nothing_without_signing_in(shop: Shop, path: str) -> None:
    """Everything leads to the sign-in page; a forged or altered cookie, and keys of other roles, too."""
    door = shop.door
    for cookie in ("", "x", f"{'0' * 64}.9999999999.{'0' * 64}", "\u202e"):
        answer = requests.get(
            door.url + path, headers={"Cookie": f"sada_desk={cookie}".encode()}, allow_redirects=False, timeout=5
        )
        assert (answer.status_code, answer.headers.get("Location")) == (303, "/desk/login")
    for role in ("write", "read"):
        assert door.get(path, key=role).status_code == 303
    for role in ("agent", "admin"):
        assert door.get(path, key=role).status_code == 200


def test_forms_of_other_sites_are_refused(shop: Shop) -> None:
    """A page elsewhere can neither sign somebody in nor search; wrong keys are slowed down."""
    door = shop.door
    for path in ("/desk/login", "/desk/search", "/desk/logout"):
        answer = requests.post(
            door.url + path,
            data={"key": "x", "q": "x"},
            headers={**door.basic("agent"), "Origin": "https://evil.example"},
            timeout=5,
        )
        assert answer.status_code == 403
    assert requests.post(door.url + "/desk/login", data={"key": door.keys["read"]}, timeout=5).status_code == 403
    assert requests.post(door.url + "/desk/login", data={"key": "nope"}, timeout=5).status_code == 401


@pytest.mark.parametrize("path", ["/desk/customers/xyz", "/desk/static/../pages.py", "/desk/static/%2e%2e%2fpages.py"])
def test_bad_addresses(shop: Shop, path: str) -> None:
    """Refused in JSON, with nothing of ours in it."""
    answer = shop.door.get(path, key="agent")
    assert answer.status_code in {400, 404}
    assert set(answer.json()) == {"code", "message"}

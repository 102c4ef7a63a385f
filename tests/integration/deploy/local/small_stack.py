"""A stack with real Kafka and Redis but small children, run as a program: the supervisor of `sada up` under test.

``python small_stack.py VAR [CHILD ...]``: each child is one of CHILDREN; free ports everywhere.
"""

import sys
from pathlib import Path

from deploy.local.processes import StackError
from deploy.local.supervisor import Patience
from deploy.local.topology import Row
from deploy.local.up import Options, run

# Serves /readyz and /livez, as every process of Sada does.
SERVING = """
import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_):
        pass
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["SADA_METRICS_PORT"])), Page).serve_forever()
"""
# Ignores SIGTERM: the worst to get rid of.
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SERVING}"
BROKEN = "import sys; print('no such luck', flush=True); sys.exit(3)"
CHILDREN = {"serving": SERVING, "stubborn": STUBBORN, "broken": BROKEN}


def main(var: Path, children: list[str]) -> None:
    """Run the stack; end with 1 and the error's text when it cannot run."""
    rows = [Row(name, (sys.executable, "-c", CHILDREN[name])) for name in children]
    options = Options(
        var=var,
        gateway_port=0,
        kafka_port=0,
        redis_port=0,
        steps=(),
        rows=rows,
        own_timeout_s=1,
        patience=Patience(first_delay_s=0.1),
    )
    try:
        run(options, lambda sentence: print(sentence, flush=True))
    except StackError as error:
        sys.exit(f"StackError: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

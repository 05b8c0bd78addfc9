"""Pods on real Docker, as the API and kubectl show them."""

from __future__ import annotations

import asyncio
import re
import threading

from k8slite.client import Patch
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import CONFIG_MAPS, LEASES, NODES, PODS, SECRETS
from k8slite.testing.images import load_busybox, remove_image

from .conftest import Cluster


async def test_a_pod_runs_and_kubectl_reads_its_log_runs_commands_and_deletes_it(cluster: Cluster) -> None:
    await cluster.create("web", main={"command": ["sh", "-c", "echo hello; echo oops >&2; exec sleep 1000"]})
    pod = await cluster.until("web", lambda pod: pod.ready)
    assert pod.status.phase == "Running"
    assert pod.status.pod_ip.startswith("10.88.1.")
    code, out, err = await cluster.kubectl("logs", "web")
    assert (code, sorted(out.splitlines())) == (0, ["hello", "oops"]), err
    code, out, err = await cluster.kubectl("exec", "web", "--", "sh", "-c", "echo $HOSTNAME; hostname -i; exit 7")
    assert code == 7, err
    assert out.split() == ["web", pod.status.pod_ip]
    code, out, err = await cluster.kubectl("exec", "-i", "web", "--", "cat", stdin=b"through and back")
    assert (code, out) == (0, "through and back"), err
    code, out, err = await cluster.kubectl("delete", "pod", "web")
    assert code == 0, err
    assert await cluster.runtime.list() == {}
    assert not list((cluster.config.state_dir / "pods").iterdir())


async def test_a_killed_container_is_restarted_and_its_previous_log_is_kept(cluster: Cluster) -> None:
    pod = await cluster.create("web", main={"command": ["sh", "-c", "echo run $(hostname); exec sleep 1000"]})
    await cluster.until("web", lambda pod: pod.ready)
    main = (await cluster.runtime.list())[pod.uid].newest("main")
    assert main is not None
    await cluster.runtime.signal(main.id, "SIGKILL")
    pod = await cluster.until("web", lambda pod: pod.ready and pod.status.container_statuses[0].restart_count == 1)
    terminated = pod.status.container_statuses[0].last_state.terminated
    assert terminated is not None
    assert (terminated.exit_code, terminated.reason) == (137, "Error")
    code, out, err = await cluster.kubectl("logs", "web", "--previous")
    assert (code, out) == (0, "run web\n"), err


async def test_the_log_of_the_last_crash_is_the_previous_one_also_while_the_container_waits(cluster: Cluster) -> None:
    await cluster.create("web", main={"command": ["sh", "-c", "echo crash; exit 1"]})

    def backs_off(pod: Pod) -> bool:
        waiting = pod.status.container_statuses[0].state.waiting if pod.status.container_statuses else None
        return waiting is not None and waiting.reason == "CrashLoopBackOff"

    await cluster.until("web", backs_off)
    for option in ("--previous", "--previous=false"):
        code, out, err = await cluster.kubectl("logs", "web", option)
        assert (code, out) == (0, "crash\n"), err


async def test_who_stops_following_a_silent_log_leaves_nothing_behind(cluster: Cluster) -> None:
    await cluster.create("web", main={"command": ["sh", "-c", "echo begun; exec sleep 1000"]})
    await cluster.until("web", lambda pod: pod.ready)

    def streams() -> int:
        return sum(thread.name == "docker-stream" for thread in threading.enumerate())

    before = streams()
    process = await cluster.start_kubectl("logs", "-f", "web")
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"begun\n"
    assert streams() == before + 1
    process.kill()
    await process.wait()
    async with asyncio.timeout(10):
        while streams() > before:  # noqa: ASYNC110 — a thread's end signals nothing
            await asyncio.sleep(0.02)


async def test_environment_volumes_and_tokens_reach_the_container(cluster: Cluster) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"color": "blue"}}
    await cluster.client.create(CONFIG_MAPS, config, namespace="default")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"password": "x y"}}
    await cluster.client.create(SECRETS, secret, namespace="default")
    await cluster.create(
        "web",
        main={
            "env": [
                {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
                {"name": "MY_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "BOTH", "value": "$(COLOR) $(NONE) $$(COLOR)"},
            ],
            "envFrom": [{"prefix": "S_", "secretRef": {"name": "login"}}],
            "volumeMounts": [
                {"name": "settings", "mountPath": "/settings"},
                {"name": "login", "mountPath": "/login", "readOnly": True},
                {"name": "settings", "mountPath": "/one", "subPath": "color"},
                {"name": "scratch", "mountPath": "/scratch"},
                {"name": "labels", "mountPath": "/pod"},
            ],
            "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        },
        volumes=[
            {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "login", "secret": {"secretName": "login", "defaultMode": 0o400}},
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "labels", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ],
    )
    pod = await cluster.until("web", lambda pod: pod.ready)
    assert pod.status.container_statuses[0].restart_count == 0

    async def read(command: str) -> str:
        code, out, err = await cluster.kubectl("exec", "web", "--", "sh", "-c", command)
        assert code == 0, err
        return out

    assert await read("echo $COLOR,$MY_IP,$BOTH,$S_password") == (
        f"blue,{pod.status.pod_ip},blue $(NONE) $(COLOR),x y\n"
    )
    assert await read("cat /settings/color /login/password /one /pod/n") == "bluex ybluewebb".replace("webb", "web")
    assert (await read("stat -Lc %a /login/password")).strip() == "400"
    assert "tmpfs" in await read("mount | grep /scratch")
    for place in ("/settings", "/login", "/pod", "/var/run/secrets/kubernetes.io/serviceaccount"):
        assert "Read-only" in await read(f"touch {place}/x 2>&1 || true")
    token = await read("cat /var/run/secrets/kubernetes.io/serviceaccount/token")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
    assert (await read("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace")) == "default"
    await cluster.client.patch(CONFIG_MAPS, "settings", {"data": {"color": "red"}}, namespace="default")
    async with asyncio.timeout(10):
        while await read("cat /settings/color") != "red":  # noqa: ASYNC110 — a file signals nothing
            await asyncio.sleep(0.05)


async def test_a_pod_waits_for_its_config_map_and_says_so(cluster: Cluster) -> None:
    reference = {"name": "late", "key": "k"}
    await cluster.create("web", main={"env": [{"name": "K", "valueFrom": {"configMapKeyRef": reference}}]})

    def refused(pod: object) -> bool:
        statuses = pod.status.container_statuses  # type: ignore[attr-defined]
        waiting = statuses[0].state.waiting if statuses else None
        return waiting is not None and waiting.reason == "CreateContainerConfigError"

    pod = await cluster.until("web", refused)
    waiting = pod.status.container_statuses[0].state.waiting
    assert waiting is not None
    assert waiting.message == 'configmap "late" not found'
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"k": "v"}}
    await cluster.client.create(CONFIG_MAPS, body, namespace="default")
    await cluster.until("web", lambda pod: pod.ready, timeout=5)


async def test_an_image_that_cannot_be_had_is_reported_and_the_pod_can_be_deleted(cluster: Cluster) -> None:
    await cluster.create(
        "web",
        containers=[
            {"name": "never", "image": "no.such.registry.invalid/x:1", "imagePullPolicy": "Never"},
            {"name": "pulled", "image": "no.such.registry.invalid/x:1"},
        ],
    )

    def reasons(pod: object) -> set[str]:
        statuses = pod.status.container_statuses  # type: ignore[attr-defined]
        return {s.state.waiting.reason for s in statuses if s.state.waiting}

    await cluster.until("web", lambda pod: reasons(pod) == {"ErrImageNeverPull", "ImagePullBackOff"})
    await cluster.delete("web")
    await cluster.until_gone("web")


async def test_init_containers_run_in_order_before_the_others(cluster: Cluster) -> None:
    mount = [{"name": "work", "mountPath": "/work"}]
    await cluster.create(
        "web",
        initContainers=[
            {"name": "one", "command": ["sh", "-c", "echo 1 >> /work/log"], "volumeMounts": mount},
            {"name": "two", "command": ["sh", "-c", "echo 2 >> /work/log"], "volumeMounts": mount},
        ],
        main={"command": ["sh", "-c", "cat /work/log; exec sleep 1000"], "volumeMounts": mount},
        volumes=[{"name": "work", "emptyDir": {}}],
    )
    pod = await cluster.until("web", lambda pod: pod.ready)
    assert [s.state.terminated.reason for s in pod.status.init_container_statuses if s.state.terminated] == [
        "Completed",
        "Completed",
    ]
    assert (await cluster.kubectl("logs", "web"))[1] == "1\n2\n"


async def test_a_pod_that_has_done_its_work_succeeds_and_leaves_its_log(cluster: Cluster) -> None:
    await cluster.create("job", restartPolicy="Never", main={"command": ["sh", "-c", "echo done"]})
    pod = await cluster.until("job", lambda pod: pod.status.phase == "Succeeded")
    assert not pod.ready
    assert (await cluster.kubectl("logs", "job"))[1] == "done\n"


async def test_readiness_follows_the_probe_and_liveness_restarts(cluster: Cluster) -> None:
    await cluster.create(
        "web",
        main={
            "command": ["sh", "-c", "mkdir -p /www; echo ok > /www/live; exec httpd -f -p 8080 -h /www"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": "http"},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
            "livenessProbe": {
                "exec": {"command": ["test", "-e", "/www/live"]},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
        },
    )
    await cluster.until("web", lambda pod: pod.status.phase == "Running")
    assert (await cluster.kubectl("exec", "web", "--", "touch", "/www/ready"))[0] == 0
    await cluster.until("web", lambda pod: pod.ready)
    assert (await cluster.kubectl("exec", "web", "--", "rm", "/www/ready"))[0] == 0
    await cluster.until("web", lambda pod: not pod.ready)
    assert (await cluster.kubectl("exec", "web", "--", "rm", "/www/live"))[0] == 0
    await cluster.until("web", lambda pod: pod.status.container_statuses[0].restart_count == 1)


async def test_pre_stop_runs_and_grace_is_kept(cluster: Cluster) -> None:
    await cluster.create(
        "web",
        terminationGracePeriodSeconds=10,
        main={
            "command": ["sh", "-c", "trap 'cat /note; exit 0' TERM; echo up; while true; do sleep 0.1; done"],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo bye > /note"]}}},
        },
    )
    await cluster.until("web", lambda pod: pod.ready)
    process = await cluster.start_kubectl("logs", "-f", "web")
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"up\n"
        await cluster.delete("web")
        await cluster.until_gone("web", timeout=5)
        assert await process.stdout.read() == b"bye\n"
        await process.wait()


async def test_a_restarted_kubelet_adopts_what_runs_and_ends_what_was_deleted_meanwhile(cluster: Cluster) -> None:
    for name in ("stays", "goes"):
        await cluster.create(name)
    before = {}
    for name in ("stays", "goes"):
        pod = await cluster.until(name, lambda pod: pod.ready)
        before[name] = pod
    await cluster.stop_kubelet()
    assert len(await cluster.runtime.list()) == 2
    await cluster.delete("goes", grace=0)
    await cluster.start_kubelet()
    async with asyncio.timeout(10):
        while before["goes"].uid in await cluster.runtime.list():  # noqa: ASYNC110 — the truth is the list
            await asyncio.sleep(0.05)
    after = await cluster.until("stays", lambda pod: pod.ready)
    assert after.status.container_statuses[0].container_id == (
        before["stays"].status.container_statuses[0].container_id
    )
    assert after.status.container_statuses[0].restart_count == 0
    assert after.status.pod_ip == before["stays"].status.pod_ip
    await cluster.create("new")
    new = await cluster.until("new", lambda pod: pod.ready)
    assert new.status.pod_ip != after.status.pod_ip


async def test_a_lost_sandbox_is_replaced_and_the_pod_runs_again(cluster: Cluster) -> None:
    pod = await cluster.create("web")
    await cluster.until("web", lambda pod: pod.ready)
    sandbox = (await cluster.runtime.list())[pod.uid].sandbox
    assert sandbox is not None
    await cluster.runtime.stop_sandbox(sandbox.id)
    await cluster.until("web", lambda pod: pod.ready and pod.status.container_statuses[0].restart_count == 1)
    state = (await cluster.runtime.list())[pod.uid]
    assert [(s.attempt, s.running) for s in state.sandboxes] == [(1, True)]
    code, out, err = await cluster.kubectl("exec", "web", "--", "ip", "-4", "addr", "show", "eth0")
    assert code == 0, err
    assert state.sandboxes[0].ip in out


async def test_a_new_image_restarts_the_container_in_place(cluster: Cluster) -> None:
    other = load_busybox("k8slite/busybox:other")
    cluster.cleanup.callback(remove_image, other)
    pod = await cluster.create("web")
    await cluster.until("web", lambda pod: pod.ready)
    change = {"spec": {"containers": [{"name": "main", "image": other}]}}
    await cluster.client.patch(PODS, "web", change, namespace="default", patch=Patch.STRATEGIC)
    after = await cluster.until("web", lambda pod: pod.ready and pod.status.container_statuses[0].restart_count == 1)
    assert after.uid == pod.uid
    assert after.status.container_statuses[0].image == other


async def test_input_and_output_are_attached_to_a_running_container(cluster: Cluster) -> None:
    await cluster.create("web", main={"stdin": True, "stdinOnce": True, "command": ["sh", "-c", "read x; echo got $x"]})
    await cluster.until("web", lambda pod: pod.ready)
    code, out, err = await cluster.kubectl("attach", "-i", "web", stdin=b"hello\n")
    assert (code, out) == (0, "got hello\n"), err


async def test_a_program_that_is_not_there_is_reported(cluster: Cluster) -> None:
    await cluster.create("web", restartPolicy="Never", main={"command": ["/no/such/program"]})
    pod = await cluster.until("web", lambda pod: pod.status.phase == "Failed")
    terminated = pod.status.container_statuses[0].state.terminated
    assert terminated is not None
    assert terminated.exit_code in (127, 128)
    assert "no such file" in terminated.message


async def test_a_container_that_takes_too_much_memory_is_ended_and_it_is_said_why(cluster: Cluster) -> None:
    await cluster.create(
        "web",
        restartPolicy="Never",
        main={"command": ["sh", "-c", "tail /dev/zero"], "resources": {"limits": {"memory": "16Mi"}}},
    )
    pod = await cluster.until("web", lambda pod: pod.status.phase == "Failed")
    terminated = pod.status.container_statuses[0].state.terminated
    assert terminated is not None
    assert (terminated.reason, terminated.exit_code) == ("OOMKilled", 137)


async def test_a_pod_past_its_deadline_fails(cluster: Cluster) -> None:
    await cluster.create("web", activeDeadlineSeconds=1)
    pod = await cluster.until("web", lambda pod: pod.status.phase == "Failed")
    assert pod.status.reason == "DeadlineExceeded"


async def test_the_nodes_status_and_lease(cluster: Cluster) -> None:
    node = await cluster.client.get(NODES, "n1")
    assert node.ready
    assert node.internal_ip == "127.0.0.1"
    assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
    assert int(node.status.allocatable["pods"]) == 110
    lease = await cluster.client.get(LEASES, "n1", namespace="kube-node-lease")
    assert lease.spec.holder_identity == "n1"


async def test_strangers_may_not_use_the_kubelets_server(cluster: Cluster) -> None:
    config = cluster.server.client_config("system:node:n2", ["system:nodes"])
    async with cluster.server.http(config) as http:
        answer = await http.get(f"https://127.0.0.1:{cluster.config.port}/pods")
        assert answer.status_code == 403
    async with cluster.server.http() as http:
        answer = await http.get(f"https://127.0.0.1:{cluster.config.port}/pods")
        assert answer.json()["kind"] == "PodList"

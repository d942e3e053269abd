//! The API without a replica behind it: while a node starts, while it is stuck, once it has halted.

use std::collections::HashMap;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use replica::{Role, Status};
use serde_json::{Value, json};
use tower::ServiceExt;
use wire::{
    CommandId, Epoch, FaultModel, Hash, Height, Index, Name, NodeId, Outcome, OutcomeCode, Receipt, SecretKey, Term,
    Time, Voter,
};

use super::*;
use crate::node::checks::Checks;
use crate::node::desk::Verdict;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

struct Stub {
    stage: watch::Sender<Stage>,
    router: Router,
}

impl Stub {
    fn new(access: ReadAccess) -> Stub {
        let voter = |n: u8| Voter {
            id: NodeId(n.into()),
            name: Name::new(&format!("bank{n}")).unwrap(),
            key: key(n).public(),
            weight: 1,
        };
        let membership = Arc::new(Membership {
            epoch: Epoch(1),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 1,
            voters: (1..=4).map(voter).collect(),
        });
        let cluster = ClusterId(Hash([1; 32]));
        let metrics = Metrics::new(&membership);
        let checks = Arc::new(Checks::new(&membership));
        let (stage, seen) = watch::channel(Stage::Opening { progress: "executed 3 of 9 log records".into() });
        let desk = Desk::new(cluster, Epoch(1), NodeId(1), Arc::new(key(1)), metrics.clone());
        let api = Api {
            cluster,
            membership,
            access,
            submitter: Submitter { cluster, checks, metrics: metrics.clone() },
            desk: Arc::new(desk),
            inbox: Arc::new(Inbox::default()),
            stage: seen,
            budget: Arc::new(Semaphore::new(1 << 20)),
            metrics,
        };
        Stub { stage, router: router(Arc::new(api)) }
    }

    fn run(&self, change: impl FnOnce(&mut Status)) {
        let mut status = Status {
            node: NodeId(1),
            cluster: ClusterId(Hash([1; 32])),
            epoch: Epoch(1),
            term: Term(4),
            leader: Some(NodeId(2)),
            role: Role::Voter,
            height: Height(7),
            height_known: Height(8),
            time: Time(1),
            entries: 70,
            state_root: Hash::ZERO,
            receipts_root: Hash::ZERO,
            log_root: Hash::ZERO,
            pool: 5,
            uncommitted: 1,
            held: 3,
            evidence: vec![],
            log_bytes: 1000,
            halted: None,
        };
        change(&mut status);
        self.stage.send_replace(Stage::Running { status: Arc::new(status), at: Instant::now() });
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        json_of(self.router.clone().oneshot(request).await.unwrap()).await
    }
}

async fn json_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8(bytes.to_vec()).unwrap().into()))
}

#[tokio::test]
async fn a_starting_node_says_how_far_it_is() {
    let stub = Stub::new(ReadAccess::Open);
    for path in ["/v1/health", "/v1/status", "/v1/evidence", "/v1/supply"] {
        let (status, answer) = stub.get(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("3 of 9"), "{path}: {answer}");
    }
    let request = Request::post("/v1/commands").body(Body::from(r#"{"commands": ["00"]}"#)).unwrap();
    let response = stub.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stub.get("/metrics").await.0, StatusCode::OK);
}

#[tokio::test]
async fn health_names_what_is_wrong() {
    let stub = Stub::new(ReadAccess::Token(vec!["t".into()]));
    stub.run(|_| {});
    assert_eq!(stub.get("/v1/health").await, (StatusCode::OK, json!({ "healthy": true })));
    let ill = async |change: &dyn Fn(&mut Status), word: &str| {
        stub.run(|status| change(status));
        let (status, answer) = stub.get("/v1/health").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer["error"]["message"].as_str().unwrap().contains(word), "{answer}");
    };
    ill(&|s| s.leader = None, "no leader").await;
    ill(&|s| s.role = Role::Rejoining, "asks its peers").await;
    ill(&|s| s.halted = Some("state root differs".into()), "state root differs").await;
    let (status, answer) = stub.get("/v1/status").await;
    assert_eq!((status, &answer["halted"]), (StatusCode::OK, &json!("state root differs")), "still answers");
    assert_eq!(answer["leader"], json!({ "node": 2, "name": "bank2" }));
    assert_eq!(stub.get("/v1/supply").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_equivocator_is_named_everywhere() {
    let stub = Stub::new(ReadAccess::Open);
    stub.run(|s| s.evidence = vec![(NodeId(3), "two_votes")]);
    let expected = json!([{ "node": 3, "name": "bank3", "offence": "two_votes" }]);
    assert_eq!(stub.get("/v1/evidence").await.1["evidence"], expected);
    assert_eq!(stub.get("/v1/status").await.1["evidence"], expected);
    let (_, text) = stub.get("/metrics").await;
    let line = r#"juno_equivocation_evidence{node="bank3",offence="two_votes"} 1"#;
    assert!(text.as_str().unwrap().contains(line), "{text}");
}

#[tokio::test]
async fn the_status_of_a_submission_is_its_best_verdict() {
    let id = |n: u8| CommandId(Hash([n; 32]));
    let refusal = Outcome { code: OutcomeCode(5), text: "expired".into() };
    let receipt = Receipt {
        index: Index(1),
        height: Height(1),
        command: id(4),
        outcome: Outcome::applied(),
        diff: Hash::ZERO,
        cost: [0; 6],
        result: Vec::new(),
    };
    let verdicts = HashMap::from([
        (id(1), Verdict::Accepted),
        (id(2), Verdict::Busy),
        (id(3), Verdict::Refused(refusal)),
        (id(4), Verdict::Done(receipt)),
    ]);
    let answer = async |ids: &[u8], may_read| {
        let ids: Vec<CommandId> = ids.iter().map(|n| id(*n)).collect();
        json_of(commands::answer_submission(&ids, &verdicts, may_read)).await
    };
    assert_eq!(answer(&[3, 2, 1], true).await.0, StatusCode::ACCEPTED);
    assert_eq!(answer(&[2, 3], true).await.0, StatusCode::TOO_MANY_REQUESTS);
    let (status, refused) = answer(&[3, 3], true).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["error"]["message"], "command 0: expired");
    assert_eq!(refused["commands"][1]["outcome"]["name"], "Expired");
    // Nobody learns a result by sending somebody else's command again.
    let (status, done) = answer(&[4], false).await;
    assert_eq!((status, &done["commands"][0]["receipt"]), (StatusCode::ACCEPTED, &Value::Null));
    assert_eq!(answer(&[4], true).await.1["commands"][0]["receipt"]["outcome"]["applied"], true);
}

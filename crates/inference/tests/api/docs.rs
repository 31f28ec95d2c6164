use crate::harness::Service;
use serde_json::Value;

#[tokio::test]
async fn all_files_of_the_page_are_served_by_the_binary() {
    let service = Service::start();
    let redirect = service.get("/docs").await;
    assert_eq!(
        (redirect.status().as_u16(), redirect.headers()["Location"].to_str().unwrap()),
        (308, "docs/")
    );
    let page = service.get("/docs/").await;
    assert!(page.headers()["Content-Type"].to_str().unwrap().starts_with("text/html"));
    let page = page.text().await.unwrap();
    let links: Vec<&str> = page.split("src=\"").chain(page.split("href=\"")).skip(1).collect();
    let files: Vec<&str> = links.iter().filter_map(|rest| rest.split('"').next()).collect();
    let files: Vec<&str> =
        files.into_iter().filter(|file| file.contains('.') && !file.contains('<')).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let file = file.trim_start_matches("./");
        let answer = service.get(&format!("/docs/{file}")).await;
        assert_eq!(answer.status(), 200, "{file}");
        assert!(!answer.bytes().await.unwrap().is_empty());
    }
    let start = service.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(start.contains("../openapi.json") && !start.contains("https://"), "{start}");
    assert_eq!(service.get("/docs/nothing.js").await.status(), 404);
}

#[tokio::test]
async fn the_document_lists_every_route_and_its_example_works() {
    let service = Service::start();
    let document: Value = service.get_json("/openapi.json").await;
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let oip = [
        "/v1/models/{model}:predict",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model}",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/ready",
        "/v2/models/{model}/versions/{version}",
        "/v2/models/{model}/versions/{version}/infer",
        "/v2/models/{model}/versions/{version}/ready",
    ];
    let native = [
        "/admin/reload",
        "/feedback",
        "/healthz",
        "/invocations",
        "/metrics",
        "/model",
        "/predict",
        "/readyz",
    ];
    assert_eq!(paths, [&native[..], &oip[..]].concat());
    let example = &document["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]["application/json"]
        ["example"];
    let request = service.client.post(service.url("/v2/models/iris/infer")).body(example.to_string());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let example =
        &document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"];
    assert_eq!(service.predict(&example.to_string()).await.0, 200);
    for status in ["200", "400", "408", "413", "415", "422", "503", "504"] {
        assert!(document["paths"]["/predict"]["post"]["responses"][status].is_object(), "{status}");
    }
}

#[tokio::test]
async fn the_page_has_security_headers() {
    let service = Service::start();
    for path in ["/docs/", "/docs/index.html", "/docs/swagger-initializer.js", "/docs/swagger-ui.css"] {
        let answer = service.get(path).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(header("X-Content-Type-Options"), "nosniff", "{path}");
        assert_eq!(header("X-Frame-Options"), "DENY", "{path}");
        let policy = header("Content-Security-Policy");
        for directive in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|part| part == directive), "{path}: {policy}");
        }
    }
}
